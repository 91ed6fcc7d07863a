"""Makes a conda channel from what this machine has: ``python examples/channel [OUTPUT]``.

The interpreter that runs it becomes the ``python`` package, or with ``--system`` that of another Debian, for servers
whose glibc is older than this machine's; wheels from PyPI become most others. The channel's URL
is printed on standard output, what happens on standard error. A second run makes only what has changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from builder import SETS, build_channel
from model import HERE, SUBDIRS

from bundler.errors import BundlerError


def main() -> int:
    """Parse the command line, build, print the URL; the exit code."""
    parser = argparse.ArgumentParser(prog="python examples/channel", description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=Path("build/channel"), metavar="OUTPUT")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where wheels are kept: wheels/ beside OUTPUT")
    parser.add_argument(
        "--with",
        dest="sets",
        action="append",
        default=[],
        choices=SETS,
        help="more than the everyday packages: numpy and its like; all that `make bench` needs, up to 4 GB; "
        "what the example of this name needs",
    )
    parser.add_argument(
        "--system",
        type=Path,
        metavar="DIR",
        help="the root directory of a Debian with python3, which is packed instead of the running Python: what is made "
        "runs from that system's glibc on",
    )
    parser.add_argument(
        "--machine",
        choices=sorted(SUBDIRS),
        default=HERE,
        help="of another machine than this one there are only packages made of wheels",
    )
    options = parser.parse_args()
    output: Path = options.output.resolve()
    cache: Path = options.cache or output.parent / "wheels"
    try:
        outcome = build_channel(
            output,
            cache.resolve(),
            options.sets,
            system=options.system and options.system.resolve(),
            machine=options.machine,
            say=lambda line: print(line, file=sys.stderr),
        )
    except BundlerError as error:
        error.show()
        return error.exit_code
    summary = f"{len(outcome.made)} packages made, {len(outcome.kept)} kept, {len(outcome.removed)} removed"
    print(summary, file=sys.stderr)
    print(output.as_uri())
    return 0


if __name__ == "__main__":
    sys.exit(main())

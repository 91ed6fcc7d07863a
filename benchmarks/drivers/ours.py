"""``ours.py LOCKFILE ROOM CODEC BYTECODE``: the prefix and the payload, without the rest of a build.

The other side's driver links and packs from the same lockfile, so nothing else may be in here.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bundler.lockfiles.condalock import locked_platforms, read_lock
from bundler.pack.codecs import CODECS
from bundler.pack.payload import PackOptions, make_payload
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from bundler.pack.compiling import BytecodeMode

BAKED = "/opt/bench/releases/1.0-0123456789ab/env"


def main() -> None:
    """Build; print what came out as one line of JSON."""
    lockfile, room, codec, bytecode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    (platform,) = locked_platforms(lockfile)
    options = PackOptions(codec=CODECS[codec](), bytecode=cast("BytecodeMode", bytecode))
    with make_prefix(read_lock(lockfile, platform), BAKED, QuietProgress()) as prefix:
        payload = make_payload(prefix, (), room, options, QuietProgress())
    sys.stdout.write(json.dumps({"files": len(payload.tree), "unpacked": payload.unpacked_size}) + "\n")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # as the command itself does, and the other side's driver: see bundler.cli

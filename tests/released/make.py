"""Makes the bundles that are kept here, each with the code of the commit that it is named for.

``python tests/released/make.py NAME...`` (all, if none is named; from a checkout with its history, in an environment
with the tests' packages): the commit's files are taken out of the repository, its dependencies installed in an
environment of its own, and its own command builds the bundle.
"""

from __future__ import annotations

import lzma
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "support"), str(TESTS)]

from released import COMMITS, kept  # noqa: E402 -- their directories are not on the path before
from released.project import make_channel, make_project  # noqa: E402


def main() -> None:
    """Make what is asked for."""
    for name in sys.argv[1:] or COMMITS:
        with tempfile.TemporaryDirectory() as room:
            bundle = _build(COMMITS[name], Path(room))
            goal = kept(name)
            goal.write_bytes(lzma.compress(bundle.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
        print(f"{goal}: {goal.stat().st_size:,} bytes")  # noqa: T201


def _build(commit: str, room: Path) -> Path:
    code = room / "code"
    code.mkdir()
    tree = subprocess.run(
        ["git", "-C", TESTS.parent, "archive", commit], check=True, capture_output=True, timeout=60
    ).stdout
    subprocess.run(["tar", "-xC", code], input=tree, check=True, timeout=60)
    venv.create(room / "venv", with_pip=True)
    subprocess.run([room / "venv/bin/pip", "install", "--quiet", code], check=True, timeout=600)
    channel, project = make_channel(room / "channel"), make_project(room / "project")
    words = ("build", project, "--channel", channel.as_uri(), "--format", "tar", "--output-dir", room / "dist")
    own = {"CONDA_BUNDLER_CACHE": str(room / "cache"), "CONDA_BUNDLER_PYPI_NAMES": ""}
    subprocess.run([room / "venv/bin/conda-bundler", *words], check=True, env=os.environ | own, timeout=600)
    (bundle,) = (room / "dist").glob("*.tar")
    return bundle


if __name__ == "__main__":
    main()

"""What `conda-pack --dest-prefix` would leave at a place, and how a release may differ from it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.prefix import make_prefix
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from bundler.locked import Lock

__all__ = ["conda_packs", "contents", "differences"]

ADDED_BY_CONDA_PACK = {"bin/activate", "bin/activate.fish", "bin/deactivate"}
"""conda-pack's own scripts: units activate nothing."""
NOT_SHIPPED = {"CACHEDIR.TAG", "conda-meta/history"}
"""A CACHEDIR.TAG would make backup programs skip the release; the history is empty."""


def conda_packs(lock: Lock, room: Path, destination: str) -> Path:
    """The same packages, linked where they are, and packed by conda-pack's own command."""
    here = room / "linked"
    with make_prefix(lock, str(here), QuietProgress()) as prefix:
        prefix.path.rename(here)
        command = Path(sys.executable).with_name("conda-pack")
        words: list[str | Path] = [command, "-q", "-p", here, "-o", room / "packed.tar", "--dest-prefix", destination]
        subprocess.run(words, check=True, capture_output=True)
        here.rename(prefix.path)
    goal = room / "theirs"
    with tarfile.open(room / "packed.tar") as tar:
        tar.extractall(goal, filter="fully_trusted")
    return goal


def contents(tree: Path) -> dict[str, tuple[bytes, int]]:
    """Each file's bytes or link target, and whether it can be run."""
    found = {}
    for path in tree.rglob("*"):
        name = path.relative_to(tree).as_posix()
        if path.is_symlink():
            found[name] = (b"-> " + os.fsencode(path.readlink()), 0)
        elif path.is_file():
            mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            found[name] = (path.read_bytes(), mode)
    return found


def differences(mine: dict[str, tuple[bytes, int]], theirs: dict[str, tuple[bytes, int]]) -> set[str]:
    """Paths that differ, apart from the written list: each difference here has its reason."""
    theirs = {path: file for path, file in theirs.items() if path not in ADDED_BY_CONDA_PACK | NOT_SHIPPED}
    # Bytecode: timestamp .pyc get an unchecked-hash header, as the payload has one mtime; the code is the same.
    mine, theirs = ({path: _without_header(path, *file) for path, file in tree.items()} for tree in (mine, theirs))
    different = {path for path in mine.keys() | theirs.keys() if mine.get(path) != theirs.get(path)}
    # conda-meta loses the build machine's paths and gets the lockfile's URLs, and the marker that it is frozen.
    return {path for path in different if not path.startswith("conda-meta/")}


def _without_header(path: str, content: bytes, mode: int) -> tuple[bytes, int]:
    return (content[16:] if path.endswith(".pyc") else content, mode)

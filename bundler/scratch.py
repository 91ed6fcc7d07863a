"""Temporary directories of builds, including the removal of those that killed builds have left."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.atomic import hold_lock
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["entries", "files_below", "remove_tree", "scratch"]

_OURS = "scratch-"


@contextlib.contextmanager
def scratch(room: str) -> Iterator[Path]:
    """A new directory in ``cache_dir(room)``, which is removed at the end.

    Directories left by killed builds are removed, too: nobody holds their locks any more.
    """
    parent = cache_dir(room)
    with contextlib.ExitStack() as held:
        with hold_lock(parent):  # nobody else may find our directory before it is locked
            for left in parent.glob(f"{_OURS}*"):
                with contextlib.suppress(OSError), hold_lock(left, wait=False):
                    remove_tree(left)
            path = Path(tempfile.mkdtemp(prefix=_OURS, dir=parent))
            held.enter_context(hold_lock(path))
        held.callback(remove_tree, path)
        yield path


def files_below(root: Path) -> Iterator[str]:
    """All files and links below ``root``; links are not followed."""
    pending = [""]
    while pending:
        directory = pending.pop()
        for entry in entries(root / directory):
            if entry.is_dir(follow_symlinks=False):
                pending.append(f"{directory}{entry.name}/")
            else:
                yield f"{directory}{entry.name}"


def entries(directory: Path) -> list[os.DirEntry[str]]:
    """The entries of one of our directories, made accessible first if a package's script has locked us out."""
    if directory.lstat().st_mode & stat.S_IRWXU != stat.S_IRWXU:
        directory.chmod(0o755)
    with os.scandir(directory) as found:
        return list(found)


def remove_tree(path: Path) -> None:
    """Remove a directory of any depth, whatever modes a script has set. It may be missing."""
    if path.is_symlink():
        path.unlink()
        return
    with contextlib.suppress(FileNotFoundError):
        found = [path]
        for directory in found:  # it grows; shutil.rmtree recurses, which Python limits to a thousand levels
            for entry in entries(directory):
                if entry.is_dir(follow_symlinks=False):
                    found.append(directory / entry.name)
                else:
                    os.unlink(entry)  # noqa: PTH108 -- of 60,000 entries
        for directory in reversed(found):
            directory.rmdir()

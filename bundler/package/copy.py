"""A package's unpacked copy in the cache: whether the linker would find there what the verified archive says, and no
more than that.

The linker reads ``info/`` of the copy, and links, or rewrites, whatever lies at the paths that stand there, through any
link on the way. So the files of ``info/`` have to be the archive's, byte for byte, and each path has to be what it is
declared as, reached through directories of the copy alone. Files that a prefix is written into are compared with their
digest here, since nobody can do so afterwards; all others when they are packed (:mod:`bundler.pack.blocks`).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Literal

from bundler.digests import file_sha256
from bundler.package.info import DECIDING, OLD, PATHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bundler.package.info import Entry

__all__ = ["BadCopy", "check_copy"]

_Found = Literal["file", "link", "directory", "other"]
_KINDS: Mapping[str, tuple[_Found, ...]] = {
    "hardlink": ("file",),
    "softlink": ("link",),
    "directory": ("directory",),
    "either": ("file", "link"),
}
_DECLARED = {"hardlink": "a file", "softlink": "a link", "directory": "a directory", "either": "a file or link"}
_FOUND = {
    None: "missing or behind a symbolic link",
    "file": "a file",
    "link": "a link",
    "directory": "a directory",
    "other": "a device, pipe or socket",
}


class BadCopy(ValueError):  # noqa: N818 -- never shown: who has the copy looked at says whose it is
    """A copy that is not what its package declares: at ``path``, for this ``reason``."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason


def check_copy(copy: Path, info: Mapping[str, bytes], entries: Iterable[Entry]) -> None:
    """Raise :class:`BadCopy` if ``copy`` is not what ``info`` and its ``entries`` say."""
    tree = _Tree(copy)
    try:
        for name, content in info.items():
            if tree.kind(name) != "file" or (copy / name).read_bytes() != content:
                raise BadCopy(name, "differs from the package's archive")
        for name in DECIDING if PATHS in info else (*DECIDING, *OLD):
            if name not in info and tree.kind(name) is not None:
                raise BadCopy(name, "is not in the metadata part of the archive")
        for entry in entries:
            _check(copy, entry, tree.kind(entry.path))
    except OSError as error:
        raise BadCopy(str(error.filename or copy), f"cannot be read: {error.strerror or error}") from error


def _check(copy: Path, entry: Entry, found: _Found | None) -> None:
    if found is None and entry.kind == "directory":
        return  # the linker makes it
    if found not in _KINDS[entry.kind]:
        raise BadCopy(entry.path, f"is declared as {_DECLARED[entry.kind]}, but is {_FOUND[found]}")
    if entry.placeholder is not None and entry.sha256 and file_sha256(copy / entry.path) != entry.sha256:
        raise BadCopy(entry.path, "does not match the package's sha256")


class _Tree:
    """What there is in a directory; links are not followed, and nothing is below one."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._directories: dict[str, dict[str, _Found]] = {}
        if not stat.S_ISDIR(os.lstat(root).st_mode):
            raise BadCopy(self._root, "is not a directory")

    def kind(self, path: str) -> _Found | None:
        directory, _, name = path.rpartition("/")
        return self._listing(directory).get(name)

    def _listing(self, directory: str) -> dict[str, _Found]:
        found = self._directories.get(directory)
        if found is None:
            found = {}
            if not directory or self.kind(directory) == "directory":
                with os.scandir(f"{self._root}/{directory}") as entries:
                    found = {entry.name: _kind(entry) for entry in entries}
            self._directories[directory] = found
        return found


def _kind(entry: os.DirEntry[str]) -> _Found:
    if entry.is_symlink():
        return "link"
    if entry.is_file(follow_symlinks=False):
        return "file"
    return "directory" if entry.is_dir(follow_symlinks=False) else "other"

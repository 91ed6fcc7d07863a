"""Which paths a package may name.

A path is below the prefix, written as the linker would write it, so that no two spellings mean one file. A backslash is
a part of a name (systemd's units have them), but not where another system would read ``..`` behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BadPath", "checked_path", "is_too_long", "parents_of"]

_NOWHERE = frozenset({"", ".", ".."})
_LINKERS = frozenset({"conda-meta", "__clobbers__", "CACHEDIR.TAG"})
"""What the linker writes to by itself, and through links if there are any."""


_NAME, _LONGEST, _DEEPEST = 255, 2048, 200


class BadPath(ValueError):  # noqa: N818 -- never shown: who reads a package says which one it is
    """A path that no package may name; says why, after ``which``."""


def checked_path(path: object) -> str:
    """``path``, if it is one that a package may name. Raises :class:`BadPath`."""
    if not isinstance(path, str):
        raise BadPath("is not a string")
    parts = path.split("/")
    if not _NOWHERE.isdisjoint(parts) or "\0" in path or "\\" in path or not path.isascii() or len(path) > _NAME:
        _look_closely(path, parts)
    if parts[0] in _LINKERS:
        raise BadPath("is reserved for the linker")
    return path


def is_too_long(path: str) -> bool:
    """Whether it could not be below a prefix, or would be so deep that programs which go down there fail.

    The kernel has 255 bytes for a name and 4095 for a path.
    """
    parts = path.split("/")
    return len(parts) > _DEEPEST or len(path.encode()) > _LONGEST or any(len(part.encode()) > _NAME for part in parts)


def _look_closely(path: str, parts: list[str]) -> None:
    if not path:
        raise BadPath("is empty")
    if "\0" in path:
        raise BadPath("contains a NUL character")
    if re.search(r"[\ud800-\udfff]", path):
        raise BadPath("is not UTF-8")
    if path.startswith("/"):
        raise BadPath("is absolute")
    if ".." in re.split(r"[/\\]", path):
        raise BadPath("contains '..'")
    if not _NOWHERE.isdisjoint(parts):
        raise BadPath("is not normalized")
    if is_too_long(path):
        raise BadPath("is too long, or in too many directories")


def parents_of(path: str) -> Iterator[str]:
    """The directories above ``path``, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path

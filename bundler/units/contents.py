"""What in an environment decides how its services are sandboxed: its files, and the names of its packages.

Names alone are not enough: a package may have any name, and a wheel may contain anything. So the files decide, and
names only add to that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from bundler.codemarks import PACKED, PYTHON, WRAPPER
from bundler.printable import counted, printable
from bundler.units.libraries import is_loaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.pack.members import TreeEntry

__all__ = ["NOTHING", "Contents", "Mark", "code_notes", "find_marks", "find_wrappers"]

_TRAITS = {
    "text relocations": "it has text relocations, so its loader writes to its code",
    "executable stack": "it requires an executable stack",
    "writable code": "it has code in writable memory",
    PACKED: "it is compressed with UPX, so it unpacks its code into memory",
    PYTHON: "it generates machine code at run time",
}
_TESTS = ("*/test/*", "*/tests/*")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A sign that memory has to be writable and executable (:mod:`bundler.codemarks`), and the files that have it, by
    their paths below the release, sorted.
    """

    name: str
    files: tuple[str, ...]

    @property
    def reason(self) -> str:
        compiles = f"{self.name} compiles code at run time"
        return _TRAITS.get(self.name, compiles)

    @property
    def where(self) -> str:
        """The first file, and how many more there are."""
        more = len(self.files) - 1
        return printable(self.files[0]) + (f" and {counted(more, 'more file')}" if more else "")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """``packages`` are the names of all packages, conda's and wheels'; ``wrappers`` are shell scripts that remain the
    main process of what they start (no ``exec``), by their paths below the release.
    """

    packages: frozenset[str] = frozenset()
    marks: tuple[Mark, ...] = ()
    wrappers: frozenset[str] = frozenset()


NOTHING = Contents()


def find_marks(tree: Iterable[TreeEntry], platform: str) -> tuple[Mark, ...]:
    """The marks of a payload's files, sorted; files that no process on ``platform`` loads do not count."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry in tree:
        if entry.marks and _counts(entry, platform):
            for name in set(entry.marks) - {WRAPPER}:
                found[name].append(entry.path)
    return tuple(Mark(name=name, files=tuple(sorted(found[name]))) for name in sorted(found))


def find_wrappers(tree: Iterable[TreeEntry]) -> frozenset[str]:
    """The shell scripts of a payload that start a program without ``exec``."""
    return frozenset(entry.path for entry in tree if WRAPPER in entry.marks)


def _counts(entry: TreeEntry, platform: str) -> bool:
    if entry.elf is None:
        return not any(fnmatchcase(entry.path, pattern) for pattern in _TESTS)
    return is_loaded(entry.path, entry.elf, platform)


def code_notes(marks: Iterable[Mark]) -> tuple[str, ...]:
    """The note of ``build`` on ``marks``, if there are any."""
    lines = [f"\n    {mark.where}: {mark.reason}" for mark in marks]
    if not lines:
        return ()
    return (f"services may execute writable memory (no MemoryDenyWriteExecute):{''.join(lines)}",)

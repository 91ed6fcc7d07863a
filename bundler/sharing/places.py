"""Who has which file, and which directories there are for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.package.paths import parents_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Places"]


class Places:
    """The paths of several packages. Most have one holder, so that little is kept of each."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._others: dict[str, list[str]] = {}
        self._directories: dict[str, tuple[str, str]] = {}

    def add(self, holder: str, paths: Iterable[str]) -> None:
        """Note the files of ``holder``."""
        for path in paths:
            first = self._first.setdefault(path, holder)
            if first != holder:
                others = self._others.setdefault(path, [])
                if holder not in others:
                    others.append(holder)
            for parent in parents_of(path):
                if parent in self._directories:
                    break
                self._directories[parent] = holder, path

    def add_directories(self, holder: str, paths: Iterable[str]) -> None:
        """Note directories of ``holder`` that may be empty."""
        for path in paths:
            for place in (path, *parents_of(path)):
                self._directories.setdefault(place, (holder, path))

    def shared(self) -> Mapping[str, tuple[str, ...]]:
        """The files of more than one, sorted, and who has them, in the order in which they came."""
        return {path: (self._first[path], *self._others[path]) for path in sorted(self._others)}

    def crossed(self) -> Iterator[tuple[str, str, str, str]]:
        """What one has as a file or link, and another, or the same, as a directory.

        The path and who has the file; a path in the directory and who has that.
        """
        for path in sorted(self._first.keys() & self._directories.keys()):
            file, (directory, below) = self._first[path], self._directories[path]
            yield path, file, below, directory

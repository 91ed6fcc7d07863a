"""What makes a payload a plain tree, looked at member by member in the order of the tar.

Design section 5, "plain trees only". ``build`` holds what it has written to this, ``verify`` what a bundle has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.errors import PackError
from bundler.pack.contents import wrong_lists
from bundler.pack.members import LINK_MODE, link_member
from bundler.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.pack.archive import WrittenArchive
    from bundler.pack.contents import Content
    from bundler.pack.members import TreeEntry
    from bundler.pack.segments import Segment

__all__ = ["NotPlain", "PlainTree", "check_written"]

_TOPS = frozenset({"env", "app", "share"})
_NOWHERE = frozenset({"", ".", ".."})
_MODES = frozenset({0o644, 0o755})


class NotPlain(ValueError):  # noqa: N818 -- never shown: each caller translates it into its own BundlerError
    """What a plain tree does not have: ``message`` is said of the payload (``holds env/x twice``)."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class PlainTree:
    """The members so far. All methods raise :class:`NotPlain`.

    ``part``: these are a part of a payload, and their directories may be in another one.
    """

    def __init__(self, *, part: bool = False) -> None:
        self._part = part
        self._directories: set[str] = set()
        self._others: set[str] = set()

    @property
    def directories(self) -> tuple[str, ...]:
        """Those so far, sorted."""
        return tuple(sorted(self._directories))

    def add_directory(self, path: str, mode: int) -> None:
        self._check_place(path)
        if mode != 0o755:
            raise _mode(path, mode)
        self._directories.add(path)

    def add_file(self, path: str, mode: int) -> None:
        self._check_place(path)
        if path in _TOPS:
            raise _beside(path)
        if mode not in _MODES:
            raise _mode(path, mode)
        self._others.add(path)

    def add_link(self, path: str, target: str) -> None:
        self._check_place(path)
        if path in _TOPS:
            raise _beside(path)
        try:
            link_member(path, target)
        except PackError as error:
            raise NotPlain(f"holds {_shown(path)}, which {error.message}", path) from error
        self._others.add(path)

    def _check_place(self, path: str) -> None:
        parts = path.split("/")
        if not _NOWHERE.isdisjoint(parts) or "\0" in path:
            raise NotPlain(f"contains an empty name or one that points outside: {path!r}", path)
        if parts[0] not in _TOPS:
            raise _beside(path)
        if path in self._others or path in self._directories:
            raise NotPlain(f"holds {_shown(path)} twice", path)
        if len(parts) > 1 and not self._part and path.rpartition("/")[0] not in self._directories:
            raise NotPlain(f"holds {_shown(path)} below a path that is not a directory", path)


def _beside(path: str) -> NotPlain:
    return NotPlain(f"contains something other than env/, app/ and share/: {_shown(path)}", path)


def _mode(path: str, mode: int) -> NotPlain:
    if mode & 0o7000:
        return NotPlain(f"holds {_shown(path)} with a setuid, setgid or sticky bit (mode {mode:o})", path)
    return NotPlain(f"holds {_shown(path)} with mode {mode:o}; only 644 and 755 are allowed", path)


def _shown(path: str) -> str:
    return printable(path)


def check_written(segments: Iterable[Segment], written: WrittenArchive, contents: Iterable[Content]) -> None:
    """Raise :class:`PackError` if ``verify`` would refuse the tree that was written of ``segments``.

    It has one more segment than these, the lists, which ``contents`` are said to be.
    """
    tree, names, held = PlainTree(), [segment.name for segment in written.segments], written.held
    directories = [[member for member in segment.members if member.is_directory] for segment in segments]
    for name, inside, entries in zip(names, [*directories, []], held, strict=True):
        try:
            for member in inside:
                tree.add_directory(member.path, member.mode)
            for entry in entries:
                _add(tree, entry)
        except NotPlain as problem:
            others = (other for other, before in zip(names, held, strict=True) if _has(before, problem.path))
            raise _wrong(problem.message, dict.fromkeys((*others, name))) from problem
    wrong = wrong_lists(contents, held[-1])
    if wrong:
        raise _wrong(f"holds a {wrong[0]} that does not match its files", names[-1:])


def _add(tree: PlainTree, entry: TreeEntry) -> None:
    if entry.mode == LINK_MODE and entry.size == 0:
        tree.add_link(entry.path, entry.digest)
    else:
        tree.add_file(entry.path, entry.mode)


def _has(entries: Iterable[TreeEntry], path: str) -> bool:
    return any(entry.path == path for entry in entries)


def _wrong(message: str, segments: Iterable[str]) -> PackError:
    return PackError(
        f"the payload {message}",
        where=", ".join(segments),
        remedy="No bundle was written, because it could not be installed. Exclude the file (bundle.exclude), or use "
        "another build of the package; and report this bug in conda-bundler.",
    )

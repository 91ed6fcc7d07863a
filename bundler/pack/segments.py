"""Segments: what belongs to one conda package is compressed once and kept.

A segment is a run of members whose compressed bytes depend on nothing but what its key names, so that the next build
copies them. Entries are written to a temporary name and renamed, and read only if they are what was written: what is
torn, damaged or still being written is never used. That is checked against accidents
(:class:`~bundler.pack.known.Checks`); whoever may write to the cache could as well give an entry of his own any digest
that is wanted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bundler import codemarks, elf
from bundler.elf import Elf
from bundler.pack.codecs import BLOCK
from bundler.pack.known import Checks, Known
from bundler.pack.members import TreeEntry
from bundler.tar.write import epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from bundler.pack.codecs import Codec
    from bundler.pack.members import Member

__all__ = ["KeptEntry", "NewEntry", "Segment", "SegmentCache"]

_CHUNK = 1 << 20
_LENGTH = 8  # bytes of a length
_TAIL = _LENGTH + 32  # with a SHA-256 behind it
_UNFINISHED = "unfinished."
_ABANDONED = 24 * 3600  # seconds after which an unfinished entry has no writer any more


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Members that are compressed together.

    ``origin`` is the digest of the package's archive; None: never kept. ``more`` makes members that follow from the
    others and ``recipe``; it is only called when the segment is not kept. ``checks`` is where it is noted how the
    package's files are known again. ``linkable``: a target that has the same files may link them; not so what is the
    release's own. ``begins_part`` and ``last`` say what it is the first or the last of: a part
    (:mod:`bundler.pack.layout`), the archive.
    """

    name: str
    members: tuple[Member, ...]
    origin: str | None = None
    recipe: str = ""
    more: Callable[[], tuple[Member, ...]] | None = None
    checks: Path | None = None
    linkable: bool = False
    begins_part: bool = False
    last: bool = False

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what of its members is not decided by ``origin`` and ``recipe``."""
        said = json.dumps([_identity(member) for member in self.members])
        return hashlib.sha256(said.encode()).hexdigest()

    def complete(self) -> tuple[Member, ...]:
        """All members, sorted by path."""
        more = self.more() if self.more else ()
        return tuple(sorted((*self.members, *more), key=lambda member: member.path))

    def known(self) -> Known:
        """How its files are known again."""
        return Known(self.checks)


class SegmentCache:
    """Compressed segments in a directory, the least recently used ones removed beyond ``limit`` bytes.

    ``room`` None keeps nothing. Safe against other builds that use the same directory.
    """

    def __init__(self, room: Path | None, codec: Codec, *, limit: int) -> None:
        self._room = room
        self._codec = codec
        self._limit = limit

    def get(self, segment: Segment) -> KeptEntry | None:
        """The segment as it was kept, verified; None if it has to be made."""
        path = self._path(segment)
        if path is None:
            return None
        with contextlib.suppress(OSError, ValueError, TypeError):
            entry = KeptEntry.open(path)
            os.utime(path)  # most recently used
            return entry
        return None

    def has(self, segment: Segment) -> bool:
        """Whether there is something under the segment's key, which :meth:`get` may still find damaged."""
        path = self._path(segment)
        return path is not None and path.is_file()

    def new(self, segment: Segment) -> NewEntry:
        """Where the segment's frames go as they are made."""
        return NewEntry(self._path(segment))

    def prune(self) -> None:
        """Remove what was not used for longest until the limit is kept, and what killed builds have left."""
        if self._room is None:
            return
        entries = []
        for path in self._room.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another build prunes as well
                entries.append((path, path.stat()))
        newest = max((status.st_mtime for _, status in entries), default=0.0)
        total = sum(status.st_size for _, status in entries)
        for path, status in sorted(entries, key=lambda entry: entry[1].st_mtime):
            abandoned = path.name.startswith(_UNFINISHED) and newest - status.st_mtime > _ABANDONED
            if total > self._limit or abandoned:
                path.unlink(missing_ok=True)
                total -= status.st_size

    def _path(self, segment: Segment) -> Path | None:
        if self._room is None or segment.origin is None:
            return None
        inputs = {
            "code": _code_digest(),
            "codec": self._codec.identity,
            "block": BLOCK,
            "mtime": epoch(),
            "origin": segment.origin,
            "recipe": segment.recipe,
            "last": segment.last,
            "members": segment.digest,
        }
        canonical = json.dumps(inputs, sort_keys=True).encode()
        return self._room / hashlib.sha256(canonical).hexdigest()


class KeptEntry:
    """An entry of the cache, open and verified.

    It has the frames, an index (JSON: the frames' digest, their check, the tree, its ELF objects and its marks by their
    path), the index's length and its digest.
    """

    def __init__(self, file: BinaryIO) -> None:
        file.seek(-_TAIL, os.SEEK_END)
        length = int.from_bytes(file.read(_LENGTH), "big")
        expected = file.read()
        self._left = file.seek(-_TAIL - length, os.SEEK_END)
        index = file.read(length)
        if hashlib.sha256(index).digest() != expected:
            raise ValueError("damaged")
        self.digest, check, tree, objects, marks = json.loads(index)
        file.seek(0)
        found, left = Checks(), self._left
        while left:
            chunk = file.read(min(_CHUNK, left))
            found.update(chunk)
            left -= len(chunk)
        if found.value != tuple(check):
            raise ValueError("damaged")
        elves = {path: Elf.from_document(document) for path, document in objects.items()}
        self.tree = tuple(
            TreeEntry(
                path=path,
                mode=mode,
                digest=digest,
                size=size,
                elf=elves.get(path),
                marks=tuple(marks.get(path, ())),
            )
            for path, mode, digest, size in tree
        )
        self._file = file

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises OSError, ValueError or TypeError for what is no whole entry."""
        file = path.open("rb")
        try:
            return cls(file)
        except BaseException:
            file.close()
            raise

    def frames(self) -> Iterator[bytes]:
        """The segment's bytes, in pieces; closes the entry."""
        with self._file:
            self._file.seek(0)
            while self._left:
                chunk = self._file.read(min(_CHUNK, self._left))
                self._left -= len(chunk)
                yield chunk


class NewEntry:
    """An entry that is being written; it gets its name when it is complete. ``path`` None: nothing is kept.

    A cache that cannot be written to (a full disk) costs the next build time, not this one its success.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._check = Checks()
        self._temporary: Path | None = None
        self._file: BinaryIO | None = None
        if path is not None:
            with contextlib.suppress(OSError):
                handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
                self._temporary, self._file = Path(name), os.fdopen(handle, "wb")

    def write(self, data: bytes | bytearray) -> None:
        """Add a frame."""
        self._digest.update(data)
        self._check.update(data)
        self._write(data)

    def keep(self, tree: tuple[TreeEntry, ...]) -> str:
        """The segment is complete: give the entry its name. Returns the SHA-256 of its frames."""
        digest = self._digest.hexdigest()
        rows = [(entry.path, entry.mode, entry.digest, entry.size) for entry in tree]
        objects = {entry.path: asdict(entry.elf) for entry in tree if entry.elf is not None}
        marks = {entry.path: entry.marks for entry in tree if entry.marks}
        index = json.dumps((digest, self._check.value, rows, objects, marks), separators=(",", ":")).encode()
        self._write(index + len(index).to_bytes(_LENGTH, "big") + hashlib.sha256(index).digest())
        if self._file is not None and self._temporary is not None and self._path is not None:
            try:
                self._file.close()
                self._temporary.replace(self._path)
            except OSError:
                self.discard()
        return digest

    def _write(self, data: bytes | bytearray) -> None:
        if self._file is not None:
            try:
                self._file.write(data)
            except OSError:
                self.discard()

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._file is not None and self._temporary is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._temporary.unlink(missing_ok=True)
        self._file = None


@cache
def _code_digest() -> str:
    """Over this package's own sources: whoever changes how files are packed and read gets new segments."""
    digest = hashlib.sha256()
    for path in sorted((*Path(__file__).parent.glob("*.py"), Path(elf.__file__), Path(codemarks.__file__))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _identity(member: Member) -> tuple[str, int, str]:
    """What of a member is not decided by its package's archive and its path."""
    if member.content is not None:
        return member.path, member.mode, hashlib.sha256(member.content).hexdigest()
    if member.link is not None:
        return member.path, member.mode, f"-> {member.link}"
    return member.path, member.mode, "bytecode" if member.module else ""

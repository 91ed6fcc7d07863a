"""Segments of members -> a compressed tar that is the same bytes for the same members.

Owner 0:0, one mtime, PAX records only where ustar has no room. Each segment is cut into blocks of at most 8 MiB, which
are compressed in parallel and written in order, so memory stays bounded whatever the size of a file.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from bundler.errors import PackError
from bundler.pack.codecs import BLOCK
from bundler.pack.members import TreeEntry
from bundler.pack.tar import DIRECTORY, END, LINK, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from bundler.pack.codecs import Codec
    from bundler.pack.members import Member
    from bundler.pack.segments import KeptEntry, NewEntry, Segment, SegmentCache

__all__ = ["WrittenArchive", "WrittenSegment", "write_archive"]

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class WrittenSegment:
    """Where a segment lies in the archive, in bytes, and the digest of these bytes."""

    name: str
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WrittenArchive:
    """The archive's own digest and size in bytes, its segments, and the tree it holds (directories left out)."""

    sha256: str
    size: int
    segments: tuple[WrittenSegment, ...]
    tree: tuple[TreeEntry, ...]


def write_archive(
    segments: Iterable[Segment],
    file: BinaryIO,
    codec: Codec,
    cache: SegmentCache,
    *,
    closing: Callable[[tuple[TreeEntry, ...]], Segment] | None = None,
    jobs: int | None = None,
) -> WrittenArchive:
    """Write ``segments`` in their order to ``file``, from ``cache`` where it has them, and keep the others there.

    ``closing`` makes one more segment from all that is in those before it.
    """
    workers = jobs or os.cpu_count() or 1
    tree: list[TreeEntry] = []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        writer = _Writer(file, ahead=workers + 1)
        for segment in _closed(segments, tree, closing):
            kept = cache.get(segment)
            if kept is not None:
                writer.take_turn(functools.partial(writer.copy, segment.name, kept))
                tree += kept.tree
                continue
            inside: list[TreeEntry] = []
            entry = cache.new(segment)
            writer.take_turn(functools.partial(writer.begin, segment.name))
            for block in _blocks(_stream(segment, inside), BLOCK):
                frame = pool.submit(codec.compress, block)
                writer.take_turn(functools.partial(writer.frame, frame, entry))
            writer.take_turn(functools.partial(writer.end, entry, tuple(inside)))
            tree += inside
        return writer.finish(tuple(tree))


def _closed(
    segments: Iterable[Segment], tree: list[TreeEntry], closing: Callable[[tuple[TreeEntry, ...]], Segment] | None
) -> Iterator[Segment]:
    yield from segments
    if closing is not None:
        yield closing(tuple(tree))


class _Writer:
    """Writes in order what is made out of order: each part takes its turn, no more than ``ahead`` are waiting."""

    def __init__(self, file: BinaryIO, *, ahead: int) -> None:
        self._file = file
        self._ahead = ahead
        self._turns: deque[Callable[[], None]] = deque()
        self._digest = hashlib.sha256()
        self._size = 0
        self._begun = ("", 0)
        self._segments: list[WrittenSegment] = []

    def take_turn(self, turn: Callable[[], None]) -> None:
        self._turns.append(turn)
        while len(self._turns) > self._ahead:
            self._turns.popleft()()

    def finish(self, tree: tuple[TreeEntry, ...]) -> WrittenArchive:
        while self._turns:
            self._turns.popleft()()
        return WrittenArchive(
            sha256=self._digest.hexdigest(), size=self._size, segments=tuple(self._segments), tree=tree
        )

    def begin(self, name: str) -> None:
        self._begun = (name, self._size)

    def frame(self, frame: Future[bytes | bytearray], entry: NewEntry) -> None:
        packed = frame.result()
        self._put(packed)
        entry.write(packed)

    def end(self, entry: NewEntry, tree: tuple[TreeEntry, ...]) -> None:
        self._end(entry.keep(tree))

    def copy(self, name: str, kept: KeptEntry) -> None:
        self.begin(name)
        for chunk in kept.frames():
            self._put(chunk)
        self._end(kept.digest)

    def _put(self, data: bytes | bytearray) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def _end(self, sha256: str) -> None:
        name, offset = self._begun
        self._segments.append(WrittenSegment(name=name, offset=offset, length=self._size - offset, sha256=sha256))


def _stream(segment: Segment, tree: list[TreeEntry]) -> Iterator[bytes]:
    """The segment's part of the tar; what it holds is added to ``tree``."""
    for member in segment.complete():
        if member.is_directory:
            yield tar_header(member.path, member.mode, kind=DIRECTORY)
        elif member.link is not None:
            yield tar_header(member.path, member.mode, kind=LINK, link=member.link)
            tree.append(TreeEntry(path=member.path, mode=member.mode, digest=member.link, size=0))
        else:
            yield from _file(member, tree)
    if segment.last:
        yield END


def _file(member: Member, tree: list[TreeEntry]) -> Iterator[bytes]:
    with member.open() as source:
        size = left = source.seek(0, os.SEEK_END)
        source.seek(0)
        yield tar_header(member.path, member.mode, size=size)
        digest = hashlib.sha256()
        while left and (chunk := source.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
        if left or source.read(1):
            raise PackError("changed while it was packed", where=member.path)
    yield tar_padding(size)
    sha256 = digest.hexdigest()
    if member.module is None:
        member.check(sha256)
    tree.append(TreeEntry(path=member.path, mode=member.mode, digest=sha256, size=size))


def _blocks(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of ``size`` bytes (the last is shorter)."""
    gathered: list[bytes | memoryview] = []
    room = size
    for piece in pieces:
        rest = memoryview(piece)
        while len(rest) >= room:
            gathered.append(rest[:room])
            yield b"".join(gathered)
            gathered, rest, room = [], rest[room:], size
        if rest:
            gathered.append(rest)
            room -= len(rest)
    if gathered:
        yield b"".join(gathered)

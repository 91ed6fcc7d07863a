"""Write segments as a reproducible compressed tar.

Owner 0:0, a common mtime, PAX records only if ustar's fields are too small. Each segment is divided into blocks of at
most 8 MiB, which are read and compressed in parallel and written in order, so that memory is bounded.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from bundler.pack.blocks import Room, cut
from bundler.pack.codecs import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from bundler.pack.blocks import Block
    from bundler.pack.codecs import Codec
    from bundler.pack.known import Known
    from bundler.pack.members import TreeEntry
    from bundler.pack.segments import KeptEntry, NewEntry, Segment, SegmentCache

__all__ = ["WrittenArchive", "WrittenPart", "WrittenSegment", "write_archive"]


@dataclass(frozen=True, kw_only=True)
class WrittenPart:
    """The byte range of a part in the archive, and its digest."""

    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WrittenSegment(WrittenPart):
    """A segment, which belongs to a part; ``name`` is the package's."""

    name: str


@dataclass(frozen=True, kw_only=True)
class WrittenArchive:
    """The archive's digest and size in bytes, its segments, and its tree (without directories).

    ``parts`` cover all of it; empty if there is only one. ``ends`` are, for each segment, the number of entries of the
    tree up to its end.
    """

    sha256: str
    size: int
    segments: tuple[WrittenSegment, ...]
    parts: tuple[WrittenPart, ...]
    tree: tuple[TreeEntry, ...]
    ends: tuple[int, ...]

    @property
    def held(self) -> tuple[tuple[TreeEntry, ...], ...]:
        """The tree, divided by segment."""
        return _by_segment(self.tree, self.ends)


def write_archive(
    segments: Iterable[Segment],
    file: BinaryIO,
    codec: Codec,
    cache: SegmentCache,
    *,
    closing: Callable[[tuple[tuple[TreeEntry, ...], ...]], Segment] | None = None,
    jobs: int | None = None,
) -> WrittenArchive:
    """Write ``segments`` in order to ``file``, from ``cache`` if it has them; others are added to it.

    ``closing`` creates the last segment from the contents of all others.
    """
    workers = jobs or os.cpu_count() or 1
    with ThreadPoolExecutor(max_workers=workers) as pool, ThreadPoolExecutor(max_workers=2) as hasher:
        writer = _Writer(file, hasher, ahead=2 * workers + 4)  # so that workers need not wait for writes
        mine = _Mine()
        # Blocks that no worker has begun with: what has been read of a large file waits in them.
        room = threading.Semaphore(workers + 1)

        def add(segment: Segment, kept: KeptEntry | None) -> None:
            if segment.begins_part:
                writer.take_turn(writer.begin_part)
            if kept is not None:
                writer.take_turn(functools.partial(writer.copy, segment.name, kept))
                return
            entry, known = cache.new(segment), segment.known()
            inside: list[TreeEntry] = []
            writer.take_turn(functools.partial(writer.begin, segment.name))
            for block in cut(segment.complete(), BLOCK, known, apart=codec.by_kind, last=segment.last):
                room.acquire()
                frame = pool.submit(_compressed, block, codec, mine, room)
                writer.take_turn(functools.partial(writer.frame, frame, entry, inside), frame)
            writer.take_turn(functools.partial(writer.end, entry, inside, known))

        for segment, looked_up in _looked_up(segments, cache, pool, ahead=workers):
            add(segment, looked_up.result())
        if closing is not None:
            segment = closing(writer.held())
            add(segment, cache.get(segment))
        return writer.finish()


def _by_segment(tree: tuple[TreeEntry, ...], ends: Iterable[int]) -> tuple[tuple[TreeEntry, ...], ...]:
    return tuple(tree[start:end] for start, end in itertools.pairwise((0, *ends)))


_Frame: TypeAlias = "tuple[bytes | bytearray, tuple[TreeEntry, ...]]"
"""A compressed block, and its entries of the tree."""


def _looked_up(
    segments: Iterable[Segment], cache: SegmentCache, pool: ThreadPoolExecutor, *, ahead: int
) -> Iterator[tuple[Segment, Future[KeptEntry | None]]]:
    """Each segment with its cached entry, which is verified while earlier segments are being written."""
    waiting: deque[tuple[Segment, Future[KeptEntry | None]]] = deque()
    for segment in segments:
        waiting.append((segment, pool.submit(cache.get, segment)))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


class _Mine(threading.local):
    """Buffers of each worker."""

    def __init__(self) -> None:
        self.room = Room()


def _compressed(block: Block, codec: Codec, mine: _Mine, room: threading.Semaphore) -> _Frame:
    room.release()
    content, entries = block.read(mine.room)
    block.parts.clear()  # what they hold of a large file is in the room now
    return codec.compress(content, block.kind), entries


class _Writer:
    """Writes blocks in order that are completed out of order; at most ``ahead`` are waiting.

    Completed blocks are written as soon as possible, to free memory.

    ``hasher`` computes the digests of a block, at most two, while the next one is read and written.
    """

    def __init__(self, file: BinaryIO, hasher: ThreadPoolExecutor, *, ahead: int) -> None:
        self._file = file
        self._hasher = hasher
        self._hashing: list[Future[None]] = []
        self._ahead = ahead
        self._turns: deque[tuple[Callable[[], None], Future[_Frame] | None]] = deque()
        # Of all, and last of the part that is being written; for the first part these are one.
        self._digests = [hashlib.sha256()]
        self._part_offset = 0
        self._parts: list[WrittenPart] = []
        self._size = 0
        self._begun = ("", 0)
        self._segments: list[WrittenSegment] = []
        self._tree: list[TreeEntry] = []
        self._ends: list[int] = []

    def take_turn(self, turn: Callable[[], None], needs: Future[_Frame] | None = None) -> None:
        """Have ``turn`` called when all those before it have been, and the frame that it ``needs`` is made."""
        self._turns.append((turn, needs))
        while len(self._turns) > self._ahead or (self._turns and self._is_made(self._turns[0][1])):
            self._turns.popleft()[0]()

    @staticmethod
    def _is_made(frame: Future[_Frame] | None) -> bool:
        return frame is None or frame.done()

    def everything(self) -> tuple[TreeEntry, ...]:
        """What is in all that has been added; waits until it is written."""
        while self._turns:
            self._turns.popleft()[0]()
        return tuple(self._tree)

    def held(self) -> tuple[tuple[TreeEntry, ...], ...]:
        """The same by segment."""
        return _by_segment(self.everything(), self._ends)

    def finish(self) -> WrittenArchive:
        tree = self.everything()
        self._end_part()
        return WrittenArchive(
            sha256=self._digests[0].hexdigest(),
            size=self._size,
            segments=tuple(self._segments),
            parts=tuple(self._parts) if len(self._parts) > 1 else (),
            tree=tree,
            ends=tuple(self._ends),
        )

    def begin_part(self) -> None:
        if self._size:
            self._end_part()
            self._digests[1:], self._part_offset = [hashlib.sha256()], self._size

    def begin(self, name: str) -> None:
        self._begun = (name, self._size)

    def frame(
        self,
        frame: Future[_Frame],
        entry: NewEntry,
        inside: list[TreeEntry],
    ) -> None:
        packed, entries = frame.result()
        inside += entries
        self._put(packed)
        entry.write(packed)

    def end(self, entry: NewEntry, inside: list[TreeEntry], known: Known) -> None:
        known.keep()
        self._tree += inside
        self._end(entry.keep(tuple(inside)))

    def copy(self, name: str, kept: KeptEntry) -> None:
        self.begin(name)
        for chunk in kept.frames():
            self._put(chunk)
        self._tree += kept.tree
        self._end(kept.digest)

    def _put(self, data: bytes | bytearray) -> None:
        self._file.write(data)
        self._wait_for_digests()  # so that no more than one piece is kept for them
        self._hashing = [self._hasher.submit(digest.update, data) for digest in self._digests]
        self._size += len(data)

    def _end_part(self) -> None:
        self._wait_for_digests()
        offset = self._part_offset
        self._parts.append(WrittenPart(offset=offset, length=self._size - offset, sha256=self._digests[-1].hexdigest()))

    def _wait_for_digests(self) -> None:
        for hashing in self._hashing:
            hashing.result()

    def _end(self, sha256: str) -> None:
        name, offset = self._begun
        self._segments.append(WrittenSegment(name=name, offset=offset, length=self._size - offset, sha256=sha256))
        self._ends.append(len(self._tree))

"""Divide members into blocks of a tar, each of which is compressed separately.

Files are read and hashed by the worker that compresses their block, into its own :class:`Room`. Only files larger than
a block are read when the blocks are divided, since their digest covers several blocks.
"""

from __future__ import annotations

import itertools
import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from bundler.codemarks import look
from bundler.elf import MAGIC
from bundler.pack.members import TreeEntry, changed
from bundler.tar.write import DIRECTORY, END, HEADER, LINK, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from bundler.elf import Elf
    from bundler.pack.known import Known
    from bundler.pack.members import Kind, Member

__all__ = ["Block", "Room", "cut"]

_CHUNK = 1 << 20


class Room:
    """A reusable buffer for one block.

    Allocating a new one for each block would take a third of the time of compressing it.
    """

    def __init__(self) -> None:
        self._memory = bytearray()
        self._end = 0

    def begin(self, size: int) -> None:
        """Clear the buffer, for about ``size`` bytes."""
        self._end = 0
        if len(self._memory) < size:
            self._memory = bytearray(size)

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes, which must be filled before the next call."""
        start, self._end = self._end, self._end + size
        if self._end > len(self._memory):
            larger = bytearray(self._end + self._end // 4)
            larger[:start] = memoryview(self._memory)[:start]
            self._memory = larger
        return memoryview(self._memory)[start : self._end]

    def add(self, data: bytes) -> None:
        self.take(len(data))[:] = data

    def content(self) -> memoryview:
        """The buffer's content."""
        return memoryview(self._memory)[: self._end]


@dataclass
class Block:
    """A part of the tar: bytes, and members that have yet to be read, with their sizes.

    ``kind`` is that of its last part. ``entries`` are those of members already read. ``length`` is its approximate size
    in bytes.
    """

    known: Known
    kind: Kind = "other"
    parts: list[bytes | tuple[Member, int]] = field(default_factory=list)
    entries: list[TreeEntry] = field(default_factory=list)
    length: int = 0

    def read(self, room: Room) -> tuple[memoryview, tuple[TreeEntry, ...]]:
        """The block's bytes, in ``room``, and its entries of the tree.

        Raises :class:`PackError` if a file has changed.
        """
        entries = list(self.entries)
        room.begin(self.length)
        for part in self.parts:
            if isinstance(part, bytes):
                room.add(part)
                continue
            member, size = part
            room.add(tar_header(member.path, member.mode, size=size))
            taken = room.take(size)
            sha256 = member.fill(taken, self.known)
            elf, marks = look(member.path, taken)
            room.add(tar_padding(size))
            entries.append(
                TreeEntry(path=member.path, mode=member.mode, digest=sha256, size=size, elf=elf, marks=marks)
            )
        return room.content(), tuple(entries)


def cut(members: Iterable[Member], size: int, known: Known, *, apart: bool, last: bool) -> Iterator[Block]:
    """Blocks of at most ``size`` bytes; ``apart``: a separate one for each kind; ``last`` adds the end of the tar."""
    ordered = sorted(members, key=lambda member: member.kind) if apart else members
    parts = ((member.kind, part) for member in ordered for part in _parts(member, size, known))
    end: list[tuple[Kind, _Part]] = [("other", _written(END))] if last else []
    block = Block(known)
    for kind, (part, length, entry) in itertools.chain(parts, end):
        if block.parts and (block.length + length > size or (apart and block.kind != kind)):
            yield block
            block = Block(known)
        block.kind = kind
        block.parts.append(part)
        block.length += length
        if entry is not None:
            block.entries.append(entry)
    if block.parts:
        yield block


_Part: TypeAlias = "tuple[bytes | tuple[Member, int], int, TreeEntry | None]"
"""A part of a block, its length in bytes, and the entry of a member that was already read."""


def _parts(member: Member, size: int, known: Known) -> Iterator[_Part]:
    if member.is_directory:
        yield _written(tar_header(member.path, member.mode, kind=DIRECTORY))
    elif member.link is not None:
        entry = TreeEntry(path=member.path, mode=member.mode, digest=member.link, size=0)
        yield _written(tar_header(member.path, member.mode, kind=LINK, link=member.link), entry)
    elif member.length <= size:
        length = member.length
        yield (member, length), HEADER + length + -length % HEADER, None
    else:
        yield from _large(member, member.length, known)


def _written(data: bytes, entry: TreeEntry | None = None) -> _Part:
    return data, len(data), entry


def _large(member: Member, size: int, known: Known) -> Iterator[_Part]:
    yield _written(tar_header(member.path, member.mode, size=size))
    digest = member.digest(known) if member.module is None else known.digest(member.path)
    left, head = size, b""
    elf: Elf | None = None
    marks: tuple[str, ...] = ()
    with member.open() as source:
        while left and (chunk := source.read(min(left, _CHUNK))):
            digest.update(chunk)
            head = head or chunk[: len(MAGIC)]
            left -= len(chunk)
            yield _written(chunk)
        if left or source.read(1):
            raise changed(member.path)
        if head == MAGIC:
            elf, marks = _look(member, source)
    entry = TreeEntry(
        path=member.path, mode=member.mode, digest=member.checked(digest), size=size, elf=elf, marks=marks
    )
    yield _written(tar_padding(size), entry)


def _look(member: Member, source: BinaryIO) -> tuple[Elf | None, tuple[str, ...]]:
    """:func:`~bundler.codemarks.look` at a large ELF object without loading it into memory."""
    if member.content is not None:
        return look(member.path, member.content)
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return look(member.path, mapped)

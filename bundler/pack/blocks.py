"""Members -> blocks of a tar, each of which is compressed by itself.

Files are read, and their digests taken, where their block is compressed: by several workers at a time. Only a file that
is larger than a block is read by whoever cuts the blocks, since its digest is of all of it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundler.errors import PackError
from bundler.pack.members import TreeEntry
from bundler.pack.tar import DIRECTORY, END, LINK, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.pack.members import Member

__all__ = ["Block", "cut"]

_CHUNK = 1 << 20


@dataclass
class Block:
    """A part of the tar: its bytes, and members that are still to be read. ``length`` is about what it comes to.

    ``entries`` are of those members that need not be read any more.
    """

    parts: list[bytes | Member] = field(default_factory=list)
    entries: list[TreeEntry] = field(default_factory=list)
    length: int = 0

    def read(self) -> tuple[bytes, tuple[TreeEntry, ...]]:
        """The block's bytes, and what it holds of the tree. Raises :class:`PackError` if a file is not what it was."""
        pieces: list[bytes] = []
        entries = list(self.entries)
        for part in self.parts:
            if isinstance(part, bytes):
                pieces.append(part)
                continue
            content = part.read()
            sha256 = hashlib.sha256(content).hexdigest()
            if part.module is None:
                part.check(sha256)
            pieces += (tar_header(part.path, part.mode, size=len(content)), content, tar_padding(len(content)))
            entries.append(TreeEntry(path=part.path, mode=part.mode, digest=sha256, size=len(content)))
        return b"".join(pieces), tuple(entries)


def cut(members: Iterable[Member], size: int, *, last: bool) -> Iterator[Block]:
    """Blocks of at most ``size`` bytes of content; ``last`` ends the tar behind them."""
    block = Block()
    for part, length, entry in _parts(members, size, last=last):
        if block.parts and block.length + length > size:
            yield block
            block = Block()
        block.parts.append(part)
        block.length += length
        if entry is not None:
            block.entries.append(entry)
    if block.parts:
        yield block


def _parts(
    members: Iterable[Member], size: int, *, last: bool
) -> Iterator[tuple[bytes | Member, int, TreeEntry | None]]:
    for member in members:
        if member.is_directory:
            yield tar_header(member.path, member.mode, kind=DIRECTORY), 0, None
        elif member.link is not None:
            entry = TreeEntry(path=member.path, mode=member.mode, digest=member.link, size=0)
            yield tar_header(member.path, member.mode, kind=LINK, link=member.link), 0, entry
        else:
            length = _size(member)
            if length <= size:
                yield member, length, None
            else:
                yield from _large(member, length)
    if last:
        yield END, 0, None


def _size(member: Member) -> int:
    if member.content is not None:
        return len(member.content)
    assert member.source is not None
    return os.stat(member.source).st_size  # noqa: PTH116 -- see Member.source


def _large(member: Member, size: int) -> Iterator[tuple[bytes, int, TreeEntry | None]]:
    yield tar_header(member.path, member.mode, size=size), 0, None
    digest, left = hashlib.sha256(), size
    with member.open() as source:
        while left and (chunk := source.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
            yield chunk, len(chunk), None
        if left or source.read(1):
            raise PackError("changed while it was packed", where=member.path)
    sha256 = digest.hexdigest()
    if member.module is None:
        member.check(sha256)
    yield tar_padding(size), 0, TreeEntry(path=member.path, mode=member.mode, digest=sha256, size=size)

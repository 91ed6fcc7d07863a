"""Read tar files in the format that :mod:`bundler.tar.write` writes, and a few variants.

The standard library's reader supports many dialects, and so does tar on the servers. If two readers disagree, the files
that were checked are not those that will be unpacked. So this refuses what no bundle contains, limits the size of
headers, and never reads a whole file into memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from bundler.tar.write import DIRECTORY, LINK, REGULAR, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TarDamage", "TarMember", "TarStream"]

BLOCK = 512
_CHUNK = 1 << 20
_PAX, _OLD_REGULAR = b"x", b"\0"
_KINDS = {REGULAR, LINK, DIRECTORY}
_REFUSED = {b"1": "a hard link", b"3": "a device", b"4": "a device", b"6": "a FIFO", b"S": "a sparse file"}
_POSIX, _GNU = b"ustar\x0000", b"ustar  \0"
_MOST_RECORDS = 1 << 16
_MOST_DIGITS = 15
"""The maximum number of digits of a decimal size: a petabyte."""
_EMPTY = bytes(BLOCK)


class TarDamage(ValueError):  # noqa: N818 -- never shown: each caller translates it into its own BundlerError
    """Not a tar file, or one with something that no bundle contains."""


@dataclass(frozen=True, kw_only=True)
class TarMember:
    """One member; ``header`` is the raw header, including a preceding pax header."""

    path: str
    kind: bytes
    mode: int
    size: int
    link: str
    mtime: int
    header: bytes

    def is_as_written(self, mode: int, mtime: int) -> bool:
        """Whether its header is exactly the one that conda-bundler writes for it, with this mode and date."""
        link = self.link if self.kind == LINK else ""  # some tars treat a regular file with a link name as a hard link
        return self.header == tar_header(self.path, mode, size=self.size, kind=self.kind, link=link, mtime=mtime)


class TarStream:
    """The members of a tar file in order, from the current position of ``source``, which is only read forwards.

    A member's content is available until the next one is requested. ``part``: the tar ends after a member, without the
    final zero blocks, like a segment of a payload. All methods raise :class:`TarDamage`, and what ``source`` raises.
    """

    def __init__(self, source: BinaryIO, *, part: bool = False, seekable: bool = False) -> None:
        self._source = source
        self._part = part
        self._seekable = seekable
        self._left = 0
        self.offset = 0
        """The current offset from the beginning: in the loop, that of the member's content."""

    def __iter__(self) -> Iterator[TarMember]:
        while (member := self._next()) is not None:
            self._left = member.size
            yield member
            self._skip()
            self._padding(member.size)

    def content(self) -> Iterator[bytes]:
        """The content of the current member."""
        while self._left:
            chunk = self._take(min(self._left, _CHUNK))
            self._left -= len(chunk)
            yield chunk

    def _skip(self) -> None:
        if self._seekable:
            self._source.seek(self._left, 1)
            self.offset, self._left = self.offset + self._left, 0
        for _ in self.content():
            pass

    def _next(self) -> TarMember | None:
        header = self._take(BLOCK, may_end=self._part)
        if not header:
            return None
        if header == _EMPTY:
            if self._part:
                raise TarDamage("it has an empty header in the middle")
            self._end()
            return None
        _check(header)
        records: dict[bytes, bytes] = {}
        block = header
        if _kind(header) == _PAX:
            size = _number(header, 124, 136)
            if size > _MOST_RECORDS:
                raise TarDamage("a header is too large")
            data = self._take(size)
            records = _records(data)
            self._padding(size)
            block = self._take(BLOCK)
            _check(block)
            header += data + tar_padding(size) + block
        return _member(block, records, header)

    def _end(self) -> None:
        """Check the end: only zeros, and at least a second block of them."""
        if self._take(BLOCK) != _EMPTY:
            raise TarDamage("it has an empty header in the middle")
        while rest := self._source.read(_CHUNK):
            self.offset += len(rest)
            if rest.strip(b"\0"):
                raise TarDamage("there is data after its end")

    def _padding(self, size: int) -> None:
        if self._take(len(tar_padding(size))).strip(b"\0"):
            raise TarDamage("unexpected data between its members")

    def _take(self, size: int, *, may_end: bool = False) -> bytes:
        pieces, left = [], size
        while left:
            piece = self._source.read(left)
            if not piece:
                if may_end and left == size:
                    return b""
                raise TarDamage("it is truncated")
            pieces.append(piece)
            left -= len(piece)
        self.offset += size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check(block: bytes) -> None:
    if block[257:265] not in (_POSIX, _GNU):
        raise TarDamage("a header is not a tar header")
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != _number(block, 148, 156):
        raise TarDamage("a header is corrupted")


def _member(block: bytes, records: dict[bytes, bytes], header: bytes) -> TarMember:
    name, prefix = (block[begin:end].split(b"\0", 1)[0] for begin, end in ((0, 100), (345, 500)))
    if prefix and block[257:265] == _POSIX:  # GNU headers use this field differently
        name = prefix + b"/" + name
    path = records.get(b"path", name).decode("utf-8", "surrogateescape")
    link = records.get(b"linkpath", block[157:257].split(b"\0", 1)[0]).decode("utf-8", "surrogateescape")
    kind = _kind(block)
    if kind not in _KINDS:
        raise TarDamage(f"{path} is {_REFUSED.get(kind, 'something that no bundle has')}")
    if kind == LINK and not link:
        raise TarDamage(f"{path} is a symbolic link without a target")
    size = _number(block, 124, 136)
    if b"size" in records:
        if not records[b"size"].isdigit() or len(records[b"size"]) > _MOST_DIGITS:
            raise TarDamage("a header has an invalid number")
        size = int(records[b"size"])
    if size and kind != REGULAR:
        raise TarDamage(f"{path} has an invalid size")
    if kind == DIRECTORY:
        path = path.removesuffix("/")
    return TarMember(
        path=path,
        kind=kind,
        mode=_number(block, 100, 108),
        size=size,
        link=link,
        mtime=_number(block, 136, 148),
        header=header,
    )


def _kind(block: bytes) -> bytes:
    kind = block[156:157]
    return REGULAR if kind == _OLD_REGULAR else kind


def _number(block: bytes, begin: int, end: int) -> int:
    digits = block[begin:end].strip(b" \0")
    if digits.strip(b"01234567"):
        raise TarDamage("a header has an invalid number")
    return int(digits or b"0", 8)


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: ``<length> <key>=<value>\\n``."""
    found: dict[bytes, bytes] = {}
    while data:
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        record, data = data[:length], data[length:]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        whole = len(record) == length and record.endswith(b"\n") and equals
        if not whole or b"\0" in value or key.startswith(b"GNU.sparse"):
            raise TarDamage("a header has an invalid record")
        found[key] = value
    return found

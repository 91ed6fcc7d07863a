"""Read tar files in the format that :mod:`bundler.tar.write` writes, and a few variants; and those of conda packages.

The standard library's reader supports many dialects, and so does tar on the servers. If two readers disagree, the files
that were checked are not those that will be unpacked. So this refuses what no bundle contains, limits the size of
headers, and never reads a whole file into memory. The standard library's keeps all members in memory, reads a header of
gigabytes at once, and takes hours for some headers (CVE-2024-6232).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from bundler.tar.write import DIRECTORY, LINK, REGULAR, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ForeignStream", "TarDamage", "TarMember", "TarStream"]

BLOCK = 512
_CHUNK = 1 << 20
_PAX, _OLD_REGULAR = b"x", b"\0"
_LONG_NAME, _LONG_LINK, _GLOBAL_PAX, _SPARSE = b"L", b"K", b"g", b"S"
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
            data = self._extension(_number(header, 124, 136))
            records = _records(data)
            block = self._take(BLOCK)
            _check(block)
            header += data + tar_padding(len(data)) + block
        return _member(block, records, header)

    def _extension(self, size: int) -> bytes:
        if size > _MOST_RECORDS:
            raise TarDamage("a header is too large")
        data = self._take(size)
        self._padding(size)
        return data

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


class ForeignStream(TarStream):
    """The same for a tar that others wrote, as tars are read that are in conda packages.

    A member has its path, kind and size; whatever it is, it is given.
    """

    def _next(self) -> TarMember | None:
        name, records = b"", dict[bytes, bytes]()
        while (header := self._take(BLOCK, may_end=True)) and header != _EMPTY:
            _check_sum(header)
            kind, size = _kind(header), _any_number(header, 124, 136)
            if kind == _SPARSE:
                raise TarDamage("it has a sparse file")
            if kind not in (_PAX, _GLOBAL_PAX, _LONG_NAME, _LONG_LINK):
                return _foreign_member(header, name, records, size)
            data = self._extension(size)
            if kind == _LONG_NAME:
                name = data.partition(b"\0")[0]
            elif kind == _PAX:
                records = _records(data)
        return None

    def _padding(self, size: int) -> None:
        self._take(len(tar_padding(size)), may_end=True)


def _check(block: bytes) -> None:
    if block[257:265] not in (_POSIX, _GNU):
        raise TarDamage("a header is not a tar header")
    _check_sum(block)


def _check_sum(block: bytes) -> None:
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != _number(block, 148, 156):
        raise TarDamage("a header is corrupted")


def _member(block: bytes, records: dict[bytes, bytes], header: bytes) -> TarMember:
    path = records.get(b"path", _name(block)).decode("utf-8", "surrogateescape")
    link = records.get(b"linkpath", block[157:257].split(b"\0", 1)[0]).decode("utf-8", "surrogateescape")
    kind = _kind(block)
    if kind not in _KINDS:
        raise TarDamage(f"{path} is {_REFUSED.get(kind, 'something that no bundle has')}")
    if kind == LINK and not link:
        raise TarDamage(f"{path} is a symbolic link without a target")
    size = _size(records, _number(block, 124, 136))
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


def _foreign_member(block: bytes, name: bytes, records: dict[bytes, bytes], size: int) -> TarMember:
    path = records.get(b"path", name or _name(block)).decode("utf-8", "surrogateescape")
    size = _size(records, size)
    kind = _kind(block)
    has_content = kind not in (b"1", LINK, b"3", b"4", DIRECTORY, b"6")
    return TarMember(path=path, kind=kind, mode=0, size=size if has_content else 0, link="", mtime=0, header=block)


def _name(block: bytes) -> bytes:
    name, prefix = (block[begin:end].split(b"\0", 1)[0] for begin, end in ((0, 100), (345, 500)))
    if prefix and block[257:265] == _POSIX:  # GNU's headers have something else there
        name = prefix + b"/" + name
    return name


def _size(records: dict[bytes, bytes], size: int) -> int:
    """``size``, or what a pax header says in its place."""
    if b"size" not in records:
        return size
    if not records[b"size"].isdigit() or len(records[b"size"]) > _MOST_DIGITS:
        raise TarDamage("a header has an invalid number")
    return int(records[b"size"])


def _kind(block: bytes) -> bytes:
    kind = block[156:157]
    return REGULAR if kind == _OLD_REGULAR else kind


def _number(block: bytes, begin: int, end: int) -> int:
    digits = block[begin:end].strip(b" \0")
    if digits.strip(b"01234567"):
        raise TarDamage("a header has an invalid number")
    return int(digits or b"0", 8)


def _any_number(block: bytes, begin: int, end: int) -> int:
    """Also one in GNU's form for large ones, a bit and then bytes."""
    if block[begin] == 0x80:
        return int.from_bytes(block[begin + 1 : end], "big")
    return _number(block, begin, end)


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

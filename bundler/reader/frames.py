"""A segment's compressed bytes -> what its frames hold; nothing stands between them, before them or behind them.

Frames one behind the other are one stream to stock tools, but each tool passes over other things: zeros, frames that
are to be skipped, a last frame that is cut off. Here each frame begins where the one before it ended, as
:mod:`bundler.pack.codecs` writes it, and is whole. No more than a few megabytes are held at a time, whatever a frame
says of itself.
"""

from __future__ import annotations

import io
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO

from bundler.pack.codecs import BLOCK
from bundler.tar.read import TarDamage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["unpacked"]

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b\x08\0"  # deflate, and none of the fields that may follow (RFC 1952)
_ZSTD = b"\x28\xb5\x2f\xfd"
_XZ = b"\xfd7zXZ\0"
_XZ_MEMORY = 128 << 20
_LARGEST = 2 * BLOCK
"""What a zstd frame may come to: it is read at once. A block has no more than BLOCK but for a header."""
_ZSTD_HEADER = 18  # the most, by RFC 8878
_ZSTD_BLOCK, _ZSTD_RLE, _ZSTD_RESERVED = 128 << 10, 1, 3


def unpacked(codec: str, source: BinaryIO) -> BinaryIO:
    """What ``source`` holds, to be read forwards. Reading raises :class:`TarDamage`, and what ``source`` raises."""
    return io.BufferedReader(_Pieces(_PIECES[codec](source)), _CHUNK)


class _Pieces(io.RawIOBase):
    """Bytes that come in pieces, as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _plain(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk


def _gzip(source: BinaryIO) -> Iterator[bytes]:
    data = b""
    while data := _begin(source, data, _GZIP):
        frame = zlib.decompressobj(wbits=31)
        while not frame.eof:
            piece = frame.decompress(data, _CHUNK)
            data = frame.unconsumed_tail
            if piece:
                yield piece
            elif not data and not frame.eof:
                data = _more(source)
        data = frame.unused_data


def _xz(source: BinaryIO) -> Iterator[bytes]:
    data = b""
    while data := _begin(source, data, _XZ):
        frame = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        while not frame.eof:
            if frame.needs_input and not data:
                data = _more(source)
            yield frame.decompress(data, _CHUNK)
            data = b""
        data = frame.unused_data


def _begin(source: BinaryIO, data: bytes, magic: bytes) -> bytes:
    """The first bytes of a frame; none behind the last."""
    while len(data) < len(magic) and (chunk := source.read(_CHUNK)):
        data += chunk
    if data and not data.startswith(magic):
        raise TarDamage("unexpected data between or after its frames")
    return data


def _more(source: BinaryIO) -> bytes:
    chunk = source.read(_CHUNK)
    if not chunk:
        raise TarDamage("a frame is truncated")
    return chunk


def _zstd(source: BinaryIO) -> Iterator[bytes]:
    import zstandard

    try:
        while frame := _zstd_frame(source):
            yield zstandard.ZstdDecompressor().decompress(frame, read_across_frames=False)
    except zstandard.ZstdError as error:
        raise TarDamage(str(error)) from error


def _zstd_frame(source: BinaryIO) -> bytes:
    """The next frame (RFC 8878, section 3.1.1), by the lengths of its blocks; empty behind the last."""
    import zstandard

    head = source.read(len(_ZSTD) + 1)
    if not head:
        return b""
    if not head.startswith(_ZSTD):
        raise TarDamage("unexpected data between or after its frames")
    frame = bytearray(head)
    _take(source, frame, zstandard.frame_header_size(bytes(frame.ljust(_ZSTD_HEADER, b"\0"))) - len(frame))
    said = zstandard.get_frame_parameters(bytes(frame))
    if said.dict_id or not said.has_checksum or not 0 < said.content_size <= _LARGEST:
        raise TarDamage("it has a frame that conda-bundler would not write")
    last = False
    while not last:
        block = int.from_bytes(_take(source, frame, 3), "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        if kind == _ZSTD_RESERVED or size > _ZSTD_BLOCK or len(frame) > _LARGEST + _CHUNK:
            raise TarDamage("it has a frame that conda-bundler would not write")
        _take(source, frame, 1 if kind == _ZSTD_RLE else size)
    _take(source, frame, 4)  # its checksum
    return bytes(frame)


def _take(source: BinaryIO, frame: bytearray, size: int) -> bytes:
    taken = source.read(size)
    if len(taken) != size:
        raise TarDamage("a frame is truncated")
    frame += taken
    return taken


_PIECES: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {
    "none": _plain,
    "gzip": _gzip,
    "xz": _xz,
    "zstd": _zstd,
}

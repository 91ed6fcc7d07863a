"""Tar headers: POSIX.1-1988 ustar, with a POSIX.1-2001 pax record only where ustar's fields are too small.

The standard library is not used for it: its headers differ between Python versions, but bundles have to be
reproducible, and it would take a third of the time for packing many small files.
"""

from __future__ import annotations

import functools
import os
import zlib

__all__ = ["DIRECTORY", "END", "HEADER", "LINK", "REGULAR", "epoch", "tar_header", "tar_padding"]

REGULAR, LINK, DIRECTORY = b"0", b"2", b"5"
_PAX = b"x"
HEADER = 512
"""The size of a header, and the block size to which content is padded."""
_NAME, _PREFIX = 100, 155
_LARGEST = 8**11 - 1  # the largest size in eleven octal digits
_OWNER = b"0000000\0" * 2  # root:root
_TAIL = b"ustar\x0000" + bytes(32 + 32) + b"0000000\0" * 2  # magic, version, names of owner and group, device
END = bytes(2 * HEADER)
"""The end of a tar file."""


def epoch() -> int:
    """The mtime of all members: ``SOURCE_DATE_EPOCH`` (seconds), or 1980-01-01, which every archive format supports."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))


def tar_header(
    path: str, mode: int, *, size: int = 0, kind: bytes = REGULAR, link: str = "", mtime: int | None = None
) -> bytes:
    """The header of a member owned by 0:0, with the mtime of all members, after a pax header if one is needed.

    ``mtime`` is given to compare the headers of another build.
    """
    name = os.fsencode(f"{path}/" if kind == DIRECTORY else path)
    target = os.fsencode(link)
    records = b""
    prefix, short = _split(name)
    if short is None:
        records += _record(b"path", name)
        short = name[:_NAME]
    if len(target) > _NAME:
        records += _record(b"linkpath", target)
        target = target[:_NAME]
    if size > _LARGEST:
        records += _record(b"size", b"%d" % size)
    time = epoch() if mtime is None else mtime
    header = _ustar(short, mode, 0 if size > _LARGEST else size, time, _after(prefix, kind, target))
    if not records:
        return header
    pax = _ustar(b"././@PaxHeader", 0o644, len(records), time, _after(b"", _PAX, b""))
    return pax + records + tar_padding(len(records)) + header


def tar_padding(size: int) -> bytes:
    """The zeros that pad a file of ``size`` bytes to whole blocks."""
    return bytes(-size % HEADER)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """A path as ustar's prefix and name; None as the name if it does not fit or is not ASCII."""
    if not name.isascii():
        return b"", None
    if len(name) <= _NAME:
        return b"", name
    cut = name.find(b"/", len(name) - _NAME - 1)
    if 0 < cut <= _PREFIX and len(name) - cut > 1:
        return name[:cut], name[cut + 1 :]
    return b"", None


def _record(key: bytes, value: bytes) -> bytes:
    """``<length> <key>=<value>\\n``, where the length includes its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(b"%d" % rest)
    length = rest + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, key, value)


def _ustar(name: bytes, mode: int, size: int, mtime: int, after: bytes) -> bytes:
    before = b"%b%07o\0%b%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), mode, _OWNER, size, mtime)
    return b"%b%06o\0 %b" % (before, _sum(before) + 8 * ord(" ") + _sum(after), after)


@functools.lru_cache  # the same for all files of a directory
def _after(prefix: bytes, kind: bytes, target: bytes) -> bytes:
    return b"%b%b%b%b" % (kind, target.ljust(_NAME, b"\0"), _TAIL, prefix.ljust(_PREFIX + 12, b"\0"))


def _sum(data: bytes) -> int:
    """The sum of the bytes, computed quickly: the lower half of Adler-32, modulo 65521, which a header cannot reach."""
    return (zlib.adler32(data) & 0xFFFF) - 1

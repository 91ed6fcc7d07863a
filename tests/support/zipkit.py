"""``.conda`` files as some writers have written them: what is in their zip headers is wrong, all else is right."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Extra", "empty", "full", "long", "lying", "none", "other", "rewrite", "short", "stump"]

Extra: TypeAlias = Callable[[int], bytes]
"""Extra fields of a zip header, for a member of this size."""
LARGE = 0xFFFFFFFF
LOCAL, CENTRAL, END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")


def none(_size: int) -> bytes:
    return b""


def empty(_size: int) -> bytes:
    return struct.pack("<2H", 1, 0)


def full(size: int) -> bytes:
    return struct.pack("<2H2Q", 1, 16, size, size)


def short(size: int) -> bytes:
    return struct.pack("<2HQ", 1, 8, size)


def long(size: int) -> bytes:
    return struct.pack("<2H3QI", 1, 28, size, size, 0, 0)


def lying(_size: int) -> bytes:
    """Says that 16 bytes follow, and none do."""
    return struct.pack("<2H", 1, 16)


def stump(_size: int) -> bytes:
    return b"\1\0\0"


def other(_size: int) -> bytes:
    """A time stamp whose length is wrong."""
    return struct.pack("<2HB2H", 0x5455, 1, 3, 1, 0)


def rewrite(source: Path, header: Extra, directory: Extra, *, large: str = "", behind: bool = False) -> None:
    """Write the zip anew with these extra fields; ``large`` says where the sizes are said to be in them.

    ``behind``: sizes and CRC come behind each member, as a writer has them who cannot seek.
    """
    with zipfile.ZipFile(source) as old:
        parts = [(part.filename.encode(), old.read(part), part.CRC) for part in old.infolist()]
    out, listed = bytearray(), bytearray()
    flags = 8 if behind else 0
    for name, data, crc in parts:
        size, offset = len(data), len(out)
        here, there = (LARGE if side in large else size for side in ("header", "directory"))
        here, sum_ = (0, 0) if behind else (here, crc)
        fields = header(size), directory(size)
        out += (
            LOCAL.pack(b"PK\3\4", 45, flags, 0, 0, 33, sum_, here, here, len(name), len(fields[0])) + name + fields[0]
        )
        out += data + (struct.pack("<4s3I", b"PK\7\x08", crc, size, size) if behind else b"")
        lengths = (len(name), len(fields[1]), 0, 0, 0, 0, offset)
        listed += CENTRAL.pack(b"PK\1\2", 45, 45, flags, 0, 0, 33, crc, there, there, *lengths) + name + fields[1]
    out += listed + END.pack(b"PK\5\6", 0, 0, len(parts), len(parts), len(listed), len(out), 0)
    source.write_bytes(out)

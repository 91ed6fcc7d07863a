"""Conda packages as writers have written them: what conda or rattler reads, we read, and rattler can unpack."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
from rattler.package_streaming import extract
from tinychannel import make_package

from bundler.fetch.condafile import NotAPackage, read_members, unpackable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Literal

    Extra = Callable[[int], bytes]

NAMES = ("info/index.json", "info/paths.json", "info/link.json")
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


def package(tmp_path: Path, extension: Literal[".conda", ".tar.bz2"] = ".conda") -> Path:
    files = {"site-packages/x.py": b"x = 1\n"}
    return make_package(tmp_path / "c", "tiny", "1.0", files=files, python=True, extension=extension)


def unpacked(archive: Path, tmp_path: Path) -> bytes:
    """What rattler makes of it."""
    room = tmp_path / "room"
    room.mkdir()
    extract(unpackable(archive, room), tmp_path / "unpacked")
    return (tmp_path / "unpacked/site-packages/x.py").read_bytes()


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_a_package_as_it_should_be_is_unpacked_where_it_lies(
    tmp_path: Path, extension: Literal[".conda", ".tar.bz2"]
) -> None:
    archive = package(tmp_path, extension)
    assert read_members(archive, NAMES).keys() == set(NAMES)
    assert read_members(archive, (*NAMES, "info/none")).keys() == set(NAMES)  # read to its end
    assert unpackable(archive, tmp_path) == archive


@pytest.mark.parametrize("header", [none, empty, full, short, long, lying, stump, other])
@pytest.mark.parametrize("directory", [none, empty, full, short, long, lying, other])
def test_whatever_stands_in_the_extra_fields(tmp_path: Path, header: Extra, directory: Extra) -> None:
    archive = package(tmp_path)
    good = read_members(archive, NAMES)
    rewrite(archive, header, directory)
    if directory is lying and header in (stump, other):
        with pytest.raises(NotAPackage, match="Corrupt extra field"):  # nobody reads it
            read_members(archive, NAMES)
        return
    assert read_members(archive, NAMES) == good
    assert unpacked(archive, tmp_path) == b"x = 1\n"


@pytest.mark.parametrize(
    ("header", "directory", "large"),
    [
        (full, none, "header"),
        (full, full, "header directory"),
        (empty, none, "header"),  # only conda reads these
        (empty, empty, "header"),
        (short, none, "header"),
        (none, empty, "header"),
        (lying, none, "header"),
        (none, empty, "directory"),  # and only rattler these
        (full, short, "header directory"),
        (full, none, "header directory"),
    ],
)
def test_sizes_that_are_said_to_be_in_the_extra_fields(
    tmp_path: Path, header: Extra, directory: Extra, large: str
) -> None:
    archive = package(tmp_path)
    good = read_members(archive, NAMES)
    rewrite(archive, header, directory, large=large)
    assert read_members(archive, NAMES) == good
    assert unpacked(archive, tmp_path) == b"x = 1\n"


def test_sizes_behind_the_members_and_compressed_ones(tmp_path: Path) -> None:
    archive = package(tmp_path)
    good = read_members(archive, NAMES)
    rewrite(archive, none, none, behind=True)
    assert read_members(archive, NAMES) == good
    with zipfile.ZipFile(archive) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, data)
    assert read_members(archive, NAMES) == good
    assert unpacked(archive, tmp_path) == b"x = 1\n"


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_what_is_cut_off_changed_or_no_package_is_refused(
    tmp_path: Path, extension: Literal[".conda", ".tar.bz2"]
) -> None:
    archive = package(tmp_path, extension)
    whole = archive.read_bytes()
    random = os.urandom(2000)
    for data in (
        b"",
        b"PK\3\4",
        whole[: len(whole) // 2],
        whole[:-40][40:],
        random,
        b"PK\3\4" + random,
        b"PK\5\6" + bytes(18),
    ):
        archive.write_bytes(data)
        with pytest.raises(NotAPackage):
            read_members(archive, NAMES)

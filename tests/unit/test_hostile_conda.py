"""Conda packages that are made to be read in two ways, or to fill memory and disk: each is refused in a sentence."""

from __future__ import annotations

import bz2
import io
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from rattler.package_streaming import extract
from zipkit import none, rewrite

from bundler.fetch import condafile
from bundler.fetch.condafile import NotAPackage, read_matching, read_members, unpackable
from bundler.tar.write import DIRECTORY, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INDEX = "info/index.json"
END = bytes(1024)
LARGE = b"1048576 comment=" + b"x" * ((1 << 20) - 17) + b"\n"


def tar_of(name: str = INDEX, content: bytes = b"{}", form: int = tarfile.PAX_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def block(kind: bytes, size: int, content: bytes = b"") -> bytes:
    """A member of any kind that says any size, in GNU's form if eight digits cannot."""
    header = bytearray(tar_header("info/x", 0o644))
    header[124:136] = (
        b"%011o\0" % size
        if 0 <= size < 1 << 33
        else bytes([0xFF if size < 0 else 0x80]) + (size & ((1 << 88) - 1)).to_bytes(11, "big")
    )
    header[156:157] = kind
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * ord(" "))
    return bytes(header) + content + tar_padding(len(content))


def pax(*records: str) -> bytes:
    content = "".join(f"{len(record) + 4} {record}\n" for record in records).encode()
    return block(b"x", len(content), content)


def conda(
    tmp_path: Path, parts: Sequence[tuple[str, bytes]] | None = None, *, info: bytes = b"", method: int = 0
) -> Path:
    """A package of these parts; or of ``info`` and nothing."""
    archive = tmp_path / "x-1.0-0.conda"
    info, rest = zstandard.compress(info or tar_of()), zstandard.compress(END)
    with zipfile.ZipFile(archive, "w", method) as whole:
        for name, content in parts or (("info-x.tar.zst", info), ("pkg-x.tar.zst", rest)):
            whole.writestr(name, content or (info if name.startswith("info") else rest))
    return archive


def behind(archive: Path) -> None:
    """From now on only the directory at the end can be read."""
    rewrite(archive, none, none, behind=True)


def refused(archive: Path, tmp_path: Path) -> str:
    room = tmp_path / "room"
    room.mkdir(exist_ok=True)
    with pytest.raises(NotAPackage) as unpacking:
        unpackable(archive, room)
    with pytest.raises(NotAPackage) as reading:
        read_members(archive, (INDEX,))
    assert str(unpacking.value) == str(reading.value)
    return str(reading.value)


@pytest.mark.parametrize("by_directory", [False, True])
@pytest.mark.parametrize(
    ("names", "twice"),
    [("info-a info-b pkg-x", "info"), ("info-a pkg-x info-b", "info"), ("pkg-a pkg-b info-x", "pkg")],
)
def test_two_tars_of_a_kind(tmp_path: Path, names: str, twice: str, *, by_directory: bool) -> None:
    """Which of them is meant depends on who reads them."""
    archive = conda(tmp_path, [(f"{name}.tar.zst", b"") for name in names.split()])
    if by_directory:
        behind(archive)
    assert refused(archive, tmp_path) == f"it has two {twice}-*.tar.zst"


@pytest.mark.parametrize("length", [0xFFFFFFFE, 1 << 38, 1 << 62, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("directory", [False, True])
def test_a_length_beyond_the_end_of_the_file(tmp_path: Path, length: int, *, directory: bool) -> None:
    def lie(_size: int) -> bytes:
        return struct.pack("<2H2Q", 1, 16, length, length)

    archive = conda(tmp_path)
    good = read_members(archive, (INDEX,))
    rewrite(archive, lie, lie if directory else none, large="header directory" if directory else "header")
    if directory:
        assert refused(archive, tmp_path)
    else:
        assert read_members(archive, (INDEX,)) == good
        assert unpackable(archive, tmp_path.parent) != archive


def test_a_part_that_unpacks_to_more_than_all_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a member that is none of the parts is not copied."""
    monkeypatch.setattr(condafile, "_SLACK", 1 << 10)
    zeros = bytes(1 << 20)
    bomb = conda(tmp_path, [("info-x.tar.zst", b""), ("pkg-x.tar.zst", zeros)], method=zipfile.ZIP_DEFLATED)
    assert refused(bomb, tmp_path) == "a part of it is larger than the whole"
    beside = conda(
        tmp_path,
        [("x", zeros), ("info-x.tar.zst", b""), ("pkg-x.tar.zst", b"")],
        method=zipfile.ZIP_DEFLATED,
    )
    room = tmp_path / "beside"
    room.mkdir()
    assert unpackable(beside, room).stat().st_size < 1 << 10


@pytest.mark.parametrize("by_directory", [False, True])
def test_an_encrypted_member(tmp_path: Path, *, by_directory: bool) -> None:
    archive = conda(tmp_path)
    flags = b"\x09\0" if by_directory else b"\x01\0"
    raw = archive.read_bytes().replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0" + flags)
    archive.write_bytes(raw.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0" + flags))
    assert "is encrypted" in refused(archive, tmp_path)


def test_names_that_lead_elsewhere_lead_nowhere(tmp_path: Path) -> None:
    names = ("../../above", "/tmp/above", "info-../../x.tar.zst", "pkg-/../../x.tar.zst", "x.conda")
    archive = conda(tmp_path, [(name, b"") for name in names])
    for read in (archive, None):
        if read is None:
            behind(archive)
        room = tmp_path / f"room{read is None}"
        room.mkdir()
        assert read_members(archive, (INDEX,)) == {INDEX: b"{}"}
        extract(unpackable(archive, room), room / "unpacked")
        assert {path.relative_to(room).as_posix() for path in room.rglob("*") if path.suffix != ".conda"} == {
            "unpacked",
            "unpacked/info",
            "unpacked/info/index.json",
        }
    assert not (tmp_path.parent / "above").exists()


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(block(b"L", 1 << 20, b"x" * (1 << 20)), id="a large name"),
        pytest.param(block(b"K", 1 << 20, b"x" * (1 << 20)), id="a large link"),
        pytest.param(block(b"x", 1 << 20, LARGE), id="a large record"),
        pytest.param(block(b"g", 1 << 20, LARGE), id="a large record for all"),
        pytest.param(block(b"x", 1 << 16, b"1" * (1 << 16)), id="a record that is a number"),
        pytest.param(block(b"x", 7, b"99 a=b\n"), id="a record with another length"),
        pytest.param(pax("size=-5") + block(b"0", 0), id="a size below 0 in a record"),
        pytest.param(block(b"0", -512), id="a size below 0"),
        pytest.param(block(b"0", -(1 << 80)), id="one far below"),
        pytest.param(block(b"0", 1 << 80), id="a size that no number of bytes has"),
        pytest.param(block(b"S", 1 << 30), id="a sparse file"),
        pytest.param(pax("GNU.sparse.major=1", "GNU.sparse.minor=0") + block(b"0", 512, b"9" * 512), id="another"),
    ],
)
@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_headers_that_are_no_headers(tmp_path: Path, info: bytes, extension: str) -> None:
    whole = info + tar_of()
    archive = conda(tmp_path, info=whole) if extension == ".conda" else tmp_path / "x-1.0-0.tar.bz2"
    if extension == ".tar.bz2":
        archive.write_bytes(bz2.compress(whole))
    with pytest.raises(NotAPackage):
        read_members(archive, (INDEX,))
    with pytest.raises(NotAPackage):
        read_matching(archive, lambda _: 1)


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_members_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str) -> None:
    """Of no size at all: some kilobytes are millions of them."""
    monkeypatch.setattr(condafile, "_MOST_INFO" if extension == ".conda" else "_MOST_WHOLE", 1 << 20)
    for count, comes in ((1000, True), (3000, False)):
        whole = tar_header("info/x", 0o755, kind=DIRECTORY) * count + tar_of()
        archive = conda(tmp_path, info=whole) if extension == ".conda" else tmp_path / "x-1.0-0.tar.bz2"
        if extension == ".tar.bz2":
            archive.write_bytes(bz2.compress(whole))
        if comes:
            assert read_members(archive, (INDEX,)) == {INDEX: b"{}"}
        else:
            with pytest.raises(NotAPackage, match="it unpacks to more than 1 MiB"):
                read_members(archive, (INDEX,))


def test_a_window_that_takes_gigabytes(tmp_path: Path) -> None:
    archive = conda(tmp_path)
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    raw = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(raw, closefd=False) as writer:
        writer.write(tar_of())
    archive = conda(tmp_path, [("info-x.tar.zst", raw.getvalue()), ("pkg-x.tar.zst", b"")])
    with pytest.raises(NotAPackage, match="too much memory"):
        read_members(archive, (INDEX,))


def test_a_link_in_the_place_of_metadata_is_not_followed(tmp_path: Path) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo(INDEX)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert read_members(conda(tmp_path, info=raw.getvalue()), (INDEX,)) == {}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("length", [10, 90, 120, 200])
def test_every_form_that_writers_have(tmp_path: Path, form: int, length: int) -> None:
    name = "info/" + "long/" * (length // 5) + "x"
    assert read_members(conda(tmp_path, info=tar_of(name, b"x", form)), (name,)) == {name: b"x"}


def test_old_and_large_numbers(tmp_path: Path) -> None:
    """No magic, as before POSIX; a size in GNU's form, though it is small."""
    old = bytearray(tar_of(form=tarfile.USTAR_FORMAT))
    old[257:265] = bytes(8)
    old[124:136] = b"\x80" + (2).to_bytes(11, "big")
    old[148:156] = b"%06o\0 " % (sum(old[:148]) + sum(old[156:512]) + 8 * ord(" "))
    assert read_members(conda(tmp_path, info=bytes(old)), (INDEX,)) == {INDEX: b"{}"}

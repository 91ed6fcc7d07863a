"""Conda packages as writers have written them: what conda or rattler reads, we read, and rattler can unpack."""

from __future__ import annotations

import bz2
import io
import os
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from rattler.package_streaming import extract
from tinychannel import File, make_package, write_archive
from zipkit import Extra, empty, full, long, lying, none, other, rewrite, short, stump

from bundler.fetch import condafile
from bundler.fetch.condafile import NotAPackage, read_members, unpackable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

NAMES = ("info/index.json", "info/paths.json", "info/link.json")


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
    rewrite(archive, none, none)  # now the headers have the sizes, and say that they come behind
    archive.write_bytes(archive.read_bytes().replace(b"PK\3\4\x2d\0\0\0", b"PK\3\4\x2d\0\x08\0"))
    assert read_members(archive, NAMES) == good
    assert unpackable(archive, tmp_path) != archive  # rattler would refuse it
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


def info_part(**sizes: int) -> bytes:
    """A tar of files below info/ that are nothing but zeros."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, size in sizes.items():
            member = tarfile.TarInfo(f"info/{name}.json")
            member.size = size
            tar.addfile(member, io.BytesIO(bytes(size)))
    return raw.getvalue()


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_metadata_that_unpacks_to_more_than_memory_holds_is_refused(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terabyte of zeros is a file of some megabytes; what it would come to stands before it, and is not read."""
    monkeypatch.setattr(condafile, "_MOST_SAID", 1 << 20)
    archive = tmp_path / f"bomb-1.0-0{extension}"

    def write(**sizes: int) -> None:
        if extension == ".conda":
            with zipfile.ZipFile(archive, "w") as whole:
                for part in ("info", "pkg"):
                    content = zstandard.compress(info_part(**sizes))
                    whole.writestr(f"{part}-bomb-1.0-0.tar.zst", content)
        else:
            archive.write_bytes(bz2.compress(info_part(**sizes)))

    write(index=1 << 19, paths=1 << 19)
    assert len(read_members(archive, NAMES)) == 2
    for sizes in ({"paths": (1 << 20) + 1}, {"index": 1 << 19, "paths": 1 << 20}):
        write(**sizes)
        with pytest.raises(NotAPackage, match=r"info/paths\.json unpacks to more than 1 MiB of metadata"):
            read_members(archive, NAMES)


def test_metadata_that_takes_hours_to_pass_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not asked for, before what is: it is decompressed all the same."""
    monkeypatch.setattr(condafile, "_MOST_INFO", 1 << 20)
    for size, refused in ((1 << 19, False), (1 << 20, True)):
        archive = tmp_path / f"bomb-{size}-0.conda"
        files = {"info/zeros": bytes(size), "info/index.json": b"{}"}
        write_archive(archive, {path: File(content=content) for path, content in files.items()})
        if refused:
            with pytest.raises(NotAPackage, match="unpacks to more than 1 MiB"):
                read_members(archive, NAMES)
        else:
            assert read_members(archive, NAMES).keys() == {"info/index.json"}

"""What is in a conda package, read where it lies, in whichever way it was written.

A ``.conda`` file (CEP 6) is a zip of two tars, ``info-*.tar.zst`` and ``pkg-*.tar.zst``. A zip says twice where its
members are: in a header before each, by which rattler unpacks, and in the directory at its end, which conda reads. Some
writers have got one of them wrong (a zip64 field that is empty, or shorter than what it should hold), which nobody
notices who reads the other. What one of the two can read is a package. One that has two of either tar is none: which of
them is meant depends on who reads it.
"""

from __future__ import annotations

import bz2
import os
import shutil
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, TypeVar

import zstandard

from bundler.printable import printable
from bundler.streams import limited, window
from bundler.tar.read import ForeignStream
from bundler.tar.write import REGULAR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

__all__ = ["NotAPackage", "read_matching", "read_members", "unpackable"]

_T = TypeVar("_T")
_HEADER = struct.Struct("<4s5H3I2H")
"""A member's own header (APPNOTE.TXT, 4.3.7): signature, version, flags, method, time, date, CRC-32, compressed size,
size, length of the name, length of the extra fields."""
_FIELD = struct.Struct("<2H")
"""An extra field's head (4.5.1): what it is, and its length."""
_SIGNATURE, _DIRECTORY = b"PK\3\4", b"PK\1\2"
_ENCRYPTED, _SIZE_FOLLOWS = 1 << 0, 1 << 3
_ZIP64, _IN_ZIP64 = 1, 0xFFFFFFFF
_LARGE = 1 << 30
_CHUNK = 1 << 20
_MOST_SAID = 256 << 20
"""Bytes of all that is read of ``info/`` at once: the paths of a million files. Some kilobytes of zstd or bzip2 can
unpack to more than any memory holds."""


_MOST_INFO = 2 << 30
"""Bytes of all that a ``.conda`` file has in its ``info-*.tar.zst``: 40 GiB of zeros, a mebibyte take minutes."""
_MOST_WHOLE = 64 << 30
"""The same for a ``.tar.bz2``, which has all of the package in one tar."""
_SLACK = 1 << 20
"""Bytes that a part may be larger than its archive: it is compressed already."""


class NotAPackage(ValueError):  # noqa: N818 -- never shown: who reads a package says which one it is
    """Neither a ``.conda`` file nor a ``.tar.bz2`` that can be read; says why."""


def read_members(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Those of ``names``, which are below ``info/``, that the package has. Raises :class:`NotAPackage`."""
    found: dict[str, bytes] = {}
    left = _MOST_SAID
    with _translated(), path.open("rb") as file, _info(file, path.name) as tar:
        for member in tar:
            if member.path in names and member.kind == REGULAR:
                left -= member.size
                if left < 0:
                    raise NotAPackage(f"{member.path} unpacks to more than {_MOST_SAID >> 20} MiB of metadata")
                found[member.path] = b"".join(tar.content())
                if len(found) == len(names):
                    break
    return found


def read_matching(path: Path, largest: Callable[[str], int]) -> dict[str, bytes]:
    """The files below ``info/`` of which as many bytes as ``largest`` says may be read; of a larger one nothing is.

    ``largest`` is asked with each path, and says 0 for what is not wanted. Raises :class:`NotAPackage`.
    """
    found: dict[str, bytes] = {}
    left = _MOST_SAID
    with _translated(), path.open("rb") as file, _info(file, path.name) as tar:
        for member in tar:
            most = largest(member.path) if member.kind == REGULAR else 0
            if not most:
                continue
            wanted = member.size <= most
            left -= member.size if wanted else 0
            if left < 0:
                raise NotAPackage(f"info/ unpacks to more than {_MOST_SAID >> 20} MiB")
            found[member.path] = b"".join(tar.content()) if wanted else b""
    return found


def unpackable(path: Path, room: Path) -> Path:
    """The package as rattler can unpack it: at ``path``, or else a copy of its parts in ``room``.

    Raises :class:`NotAPackage`.
    """
    if path.name.endswith(".tar.bz2"):
        return path
    with _translated(), path.open("rb") as file:
        if _by_headers(file) is not None:
            return path
        copy = room / path.name
        with zipfile.ZipFile(file) as source, zipfile.ZipFile(copy, "w") as goal:
            for part in _parts(source, path.stat().st_size):
                with (
                    source.open(part) as read,
                    goal.open(part.filename, "w", force_zip64=part.file_size > _LARGE) as write,
                ):
                    shutil.copyfileobj(read, write, _CHUNK)
        return copy


@contextmanager
def _translated() -> Iterator[None]:
    damage = (zipfile.BadZipFile, zlib.error, zstandard.ZstdError)
    try:
        yield
    # RuntimeError: the member is encrypted; NotImplementedError: it is compressed in some rare way
    except (*damage, EOFError, OSError, LookupError, ValueError, RuntimeError, NotImplementedError) as error:
        raise NotAPackage(printable(str(error)) or type(error).__name__) from error


@contextmanager
def _info(file: BinaryIO, name: str) -> Iterator[ForeignStream]:
    """The tar that has ``info/`` in it."""
    if name.endswith(".tar.bz2"):
        with bz2.open(file) as plain:
            yield ForeignStream(limited(plain, _MOST_WHOLE))
    elif (place := _by_headers(file)) is not None:
        offset, length = place
        file.seek(offset)
        with _decompressed(window(file, length)) as tar:
            yield tar
    else:
        with zipfile.ZipFile(file) as source:
            part, _ = _parts(source, file.seek(0, os.SEEK_END))
            with source.open(part) as compressed, _decompressed(compressed) as tar:
                yield tar


@contextmanager
def _decompressed(part: IO[bytes]) -> Iterator[ForeignStream]:
    with zstandard.ZstdDecompressor().stream_reader(part, read_across_frames=True) as plain:
        yield ForeignStream(limited(plain, _MOST_INFO))


def _parts(source: zipfile.ZipFile, size: int) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo]:
    """The tars of ``info/`` and of all else, by the directory of an archive of so many bytes."""
    found: dict[str, zipfile.ZipInfo] = {}
    for part in source.infolist():
        _add(found, part.filename, part)
    if found.keys() != {"info", "pkg"}:
        raise NotAPackage("it has no info-*.tar.zst and pkg-*.tar.zst")
    if any(part.file_size > size + _SLACK for part in found.values()):
        raise NotAPackage("a part of it is larger than the whole")
    return found["info"], found["pkg"]


def _add(found: dict[str, _T], name: str, place: _T) -> None:
    kind = _kind(name)
    if kind in found:
        raise NotAPackage(f"it has two {kind}-*.tar.zst")
    if kind:
        found[kind] = place


def _kind(name: str) -> str:
    kind = name.partition("-")[0] if name.endswith(".tar.zst") else ""
    return kind if kind in ("info", "pkg") else ""


def _by_headers(file: BinaryIO) -> tuple[int, int] | None:
    """Where ``info-*.tar.zst`` begins, and its length, by the headers; None if these do not lead to both parts."""
    places: dict[str, tuple[int, int]] = {}
    offset, end = 0, file.seek(0, os.SEEK_END)
    while (header := _header(file, offset)) is not None:
        name, begin, length = header
        if begin + length > end:
            return None
        _add(places, name, (begin, length))
        offset = begin + length
    file.seek(offset)
    complete = places.keys() == {"info", "pkg"} and file.read(len(_DIRECTORY)) == _DIRECTORY
    return places["info"] if complete else None


def _header(file: BinaryIO, offset: int) -> tuple[str, int, int] | None:
    """The name of the member whose header is there, where it begins, and its length; None for what is no header."""
    file.seek(offset)
    raw = file.read(_HEADER.size)
    if len(raw) < _HEADER.size:
        return None
    signature, _, flags, method, _, _, _, compressed, size, name_length, extra_length = _HEADER.unpack(raw)
    name, extra = file.read(name_length), file.read(extra_length)
    length = _length(compressed, size, extra)
    if (
        signature != _SIGNATURE
        or flags & (_ENCRYPTED | _SIZE_FOLLOWS)
        or method != zipfile.ZIP_STORED
        or length is None
    ):
        return None
    return name.decode("utf-8", "replace"), offset + _HEADER.size + name_length + extra_length, length


def _length(compressed: int, size: int, extra: bytes) -> int | None:
    """How many bytes a member has; None if its extra fields lack what they should say, or say more than sizes."""
    large: list[int] = []
    while extra:
        if len(extra) < _FIELD.size:
            return None
        kind, length = _FIELD.unpack_from(extra)
        if kind != _ZIP64:
            return None  # nobody writes another; a reader may know it, and find something wrong with it
        content, extra = extra[_FIELD.size :][:length], extra[_FIELD.size + length :]
        large += [number for (number,) in struct.iter_unpack("<Q", content[: len(content) // 8 * 8])]
    wanted = [value == _IN_ZIP64 for value in (size, compressed)]
    if sum(wanted) > len(large):
        return None
    return large[sum(wanted) - 1] if wanted[1] else compressed

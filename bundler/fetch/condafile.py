"""What is in a conda package, read where it lies, in whichever way it was written.

A ``.conda`` file (CEP 6) is a zip of two tars, ``info-*.tar.zst`` and ``pkg-*.tar.zst``. A zip says twice where its
members are: in a header before each, by which rattler unpacks, and in the directory at its end, which conda reads. Some
writers have got one of them wrong (a zip64 field that is empty, or shorter than what it should hold), which nobody
notices who reads the other. What one of the two can read is a package.
"""

from __future__ import annotations

import io
import shutil
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import zstandard

from bundler.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

__all__ = ["NotAPackage", "read_matching", "read_members", "unpackable"]

_HEADER = struct.Struct("<4s5H3I2H")
"""A member's own header (APPNOTE.TXT, 4.3.7): signature, version, flags, method, time, date, CRC-32, compressed size,
size, length of the name, length of the extra fields."""
_FIELD = struct.Struct("<2H")
"""An extra field's head (4.5.1): what it is, and its length."""
_SIGNATURE = b"PK\3\4"
_SIZE_FOLLOWS = 1 << 3
_ZIP64, _IN_ZIP64 = 1, 0xFFFFFFFF
_LARGE = 1 << 30
_CHUNK = 1 << 20
_MOST_SAID = 256 << 20
"""Bytes of all that is read of ``info/`` at once: the paths of a million files. Some kilobytes of zstd or bzip2 can
unpack to more than any memory holds."""


_MOST_INFO = 2 << 30
"""Bytes of all that a ``.conda`` file has in its ``info-*.tar.zst``: 40 GiB of zeros, a mebibyte take minutes."""


class NotAPackage(ValueError):  # noqa: N818 -- never shown: who reads a package says which one it is
    """Neither a ``.conda`` file nor a ``.tar.bz2`` that can be read; says why."""


def read_members(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Those of ``names``, which are below ``info/``, that the package has. Raises :class:`NotAPackage`."""
    found: dict[str, bytes] = {}
    left, passed = _MOST_SAID, 0
    with _translated(), path.open("rb") as file, _info(file, path.name) as tar:
        for member in tar:
            passed += member.size
            if passed > _MOST_INFO and not path.name.endswith(".tar.bz2"):  # which has all of the package in one tar
                raise NotAPackage(f"info/ unpacks to more than {_MOST_INFO >> 20} MiB")
            if member.name in names and (content := tar.extractfile(member)) is not None:
                left -= member.size
                if left < 0:
                    raise NotAPackage(f"{member.name} unpacks to more than {_MOST_SAID >> 20} MiB of metadata")
                found[member.name] = content.read()
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
            most = largest(member.name) if member.isfile() else 0
            if not most:
                continue
            content = tar.extractfile(member) if member.size <= most else None
            left -= member.size if content is not None else 0
            if left < 0:
                raise NotAPackage(f"info/ unpacks to more than {_MOST_SAID >> 20} MiB")
            found[member.name] = content.read() if content is not None else b""
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
            for part in source.infolist():
                with (
                    source.open(part) as read,
                    goal.open(part.filename, "w", force_zip64=part.file_size > _LARGE) as write,
                ):
                    shutil.copyfileobj(read, write, _CHUNK)
        return copy


@contextmanager
def _translated() -> Iterator[None]:
    damage = (tarfile.TarError, zipfile.BadZipFile, zlib.error, zstandard.ZstdError)
    try:
        yield
    # RuntimeError: the member is encrypted; NotImplementedError: it is compressed in some rare way
    except (*damage, EOFError, OSError, LookupError, ValueError, RuntimeError, NotImplementedError) as error:
        raise NotAPackage(printable(str(error)) or type(error).__name__) from error


@contextmanager
def _info(file: IO[bytes], name: str) -> Iterator[tarfile.TarFile]:
    """The tar that has ``info/`` in it."""
    if name.endswith(".tar.bz2"):
        with tarfile.open(fileobj=file, mode="r|bz2") as tar:
            yield tar
    elif (place := _by_headers(file)) is not None:
        offset, length = place
        file.seek(offset)
        with _decompressed(io.BytesIO(file.read(length))) as tar:
            yield tar
    else:
        with zipfile.ZipFile(file) as source:
            part = next((name for name in source.namelist() if _kind(name) == "info"), None)
            if part is None:
                raise NotAPackage("it has no info-*.tar.zst")
            with source.open(part) as compressed, _decompressed(compressed) as tar:
                yield tar


@contextmanager
def _decompressed(part: IO[bytes]) -> Iterator[tarfile.TarFile]:
    with (
        zstandard.ZstdDecompressor().stream_reader(part, read_across_frames=True) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        yield tar


def _kind(name: str) -> str:
    return name.partition("-")[0] if name.endswith(".tar.zst") else ""


def _by_headers(file: IO[bytes]) -> tuple[int, int] | None:
    """Where ``info-*.tar.zst`` begins, and its length, by the headers; None if these do not lead to both parts."""
    places: dict[str, tuple[int, int]] = {}
    offset = 0
    while places.keys() < {"info", "pkg"}:
        file.seek(offset)
        raw = file.read(_HEADER.size)
        if len(raw) < _HEADER.size:
            return None
        signature, _, flags, method, _, _, _, compressed, size, name_length, extra_length = _HEADER.unpack(raw)
        name, extra = file.read(name_length), file.read(extra_length)
        length = _length(compressed, size, extra)
        if signature != _SIGNATURE or flags & _SIZE_FOLLOWS or method != zipfile.ZIP_STORED or length is None:
            return None
        offset += _HEADER.size + name_length + extra_length
        if kind := _kind(name.decode("utf-8", "replace")):
            places[kind] = offset, length
        offset += length
    return places["info"]


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

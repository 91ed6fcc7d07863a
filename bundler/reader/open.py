"""A bundle as it lies there (directory, ``.tar`` or ``.run``) -> its files, each to be read where it is.

Nothing is unpacked: of a payload of gigabytes only what is asked for is read.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Literal

from bundler.bundle.index import COPY_AGAIN, Manifest, read_manifest
from bundler.digests import sha256_of
from bundler.errors import MissingToolError, VerificationError
from bundler.printable import counted
from bundler.streams import window
from bundler.tar.read import TarDamage, TarStream
from bundler.tar.write import DIRECTORY, LINK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["MANIFEST", "OpenBundle", "Piece", "open_bundle", "translated"]

MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_SMALL = 64 << 20
"""No file of a bundle but the payload has more bytes."""
_HEAD = 1 << 16
_PAGE = 4096
"""Of which a ``.run`` has some before its tar."""
_MAGIC = slice(257, 262)
"""Where a tar's first header has ``ustar``."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Where the content of one of a bundle's files lies, in bytes."""

    file: Path
    offset: int
    size: int

    @contextlib.contextmanager
    def open(self, offset: int = 0, length: int | None = None) -> Iterator[BinaryIO]:
        """The content, or ``length`` bytes of it from ``offset``, as a file."""
        left = self.size - offset if length is None else min(length, self.size - offset)
        with self.file.open("rb") as file:
            file.seek(self.offset + offset)
            yield window(file, left)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The same, in pieces."""
        with self.open(offset, length) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def sha256(self, offset: int = 0, length: int | None = None) -> str:
        """The digest of the same."""
        return sha256_of(self.chunks(offset, length))


@dataclass(frozen=True, kw_only=True)
class OpenBundle:
    """A bundle's files, by their path in it.

    ``top`` is the name of its directory. ``tar`` is where in a ``.run`` the tar begins. ``odd`` are the things in a
    directory that are neither plain files nor directories on the way to one.
    """

    path: Path
    form: Literal["dir", "tar", "run"]
    top: str
    pieces: Mapping[str, Piece]
    tar: int = 0
    odd: tuple[str, ...] = ()

    @cached_property
    def manifest(self) -> Manifest:
        """Raises :class:`VerificationError`; :func:`open_bundle` has read it."""
        return read_manifest(self.read(MANIFEST), where=str(self.path))

    @property
    def size(self) -> int:
        """The bytes that it takes: the file's, or those of all its files."""
        return sum(piece.size for piece in self.pieces.values()) if self.form == "dir" else self.path.stat().st_size

    @property
    def payload(self) -> Piece:
        """Raises :class:`VerificationError` if it is missing."""
        return self.piece(self.manifest.payload.path)

    def piece(self, name: str) -> Piece:
        """Where a file lies. Raises :class:`VerificationError` if it is missing."""
        if name not in self.pieces:
            raise VerificationError(f"{name} is missing", where=str(self.path), remedy=COPY_AGAIN)
        return self.pieces[name]

    def read(self, name: str) -> bytes:
        """A small file's content. Raises :class:`VerificationError` if it is missing, cannot be read or is huge."""
        piece = self.piece(name)
        if piece.size > _SMALL:
            raise VerificationError(f"{name} is too large: {counted(piece.size, 'byte')}", where=str(self.path))
        with translated(self.path), piece.open() as file:
            content = file.read()
        if len(content) != piece.size:
            raise VerificationError(f"{name} is truncated", where=str(self.path), remedy=COPY_AGAIN)
        return content

    def text(self, name: str) -> str:
        """The same of a text; a byte that is not UTF-8 stands as ``\\xNN``."""
        return self.read(name).decode("utf-8", "backslashreplace")

    def below(self, directory: str) -> tuple[str, ...]:
        """The files below a directory of the bundle, sorted."""
        return tuple(sorted(name for name in self.pieces if name.startswith(f"{directory}/")))


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """A file that cannot be read, or is no tar, as a sentence."""
    try:
        yield
    except PermissionError as error:
        raise MissingToolError("permission denied", where=str(error.filename or path)) from error
    except OSError as error:
        raise VerificationError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except TarDamage as error:
        raise VerificationError(f"incomplete bundle: {error}", where=str(path), remedy=COPY_AGAIN) from error


def open_bundle(path: Path) -> OpenBundle:
    """Find a bundle's files and read its manifest.

    Raises :class:`VerificationError` for what is no bundle or a damaged one, :class:`MissingToolError` for what this
    user may not read.
    """
    with translated(path):
        bundle = _directory(path) if path.is_dir() else _file(path)
    if bundle is None or MANIFEST not in bundle.pieces:
        raise VerificationError(
            f"not a bundle: it has no {MANIFEST}" if bundle else "not a bundle: neither a tar nor a .run file",
            where=str(path),
            remedy="Give the .tar or .run file that `conda-bundler build` wrote, or the directory unpacked from it.",
        )
    _ = bundle.manifest
    return bundle


def _directory(path: Path) -> OpenBundle:
    top = path.resolve().name
    if not (path / MANIFEST).is_file():  # before all of somebody's home is walked through
        return OpenBundle(path=path, form="dir", top=top, pieces={})
    pieces, odd, pending = {}, [], [path]
    while pending:
        directory = pending.pop()
        children = list(directory.iterdir())
        if not children:
            odd.append(directory.relative_to(path).as_posix())
        for child in children:
            name = child.relative_to(path).as_posix()
            if child.is_dir() and not child.is_symlink():
                pending.append(child)
            elif child.is_file() and not child.is_symlink():
                pieces[name] = Piece(file=child, offset=0, size=child.stat().st_size)
            else:
                odd.append(name)
    return OpenBundle(path=path, form="dir", top=top, pieces=pieces, odd=tuple(sorted(odd)))


def _file(path: Path) -> OpenBundle | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD)
        script = head.startswith(b"#!/bin/sh\n")
        pages = range(_PAGE, len(head), _PAGE) if script else (0,)
        begin = next((page for page in pages if head[page:][_MAGIC] == b"ustar"), None)
        if begin is None:
            return None
        top, pieces = _pieces(file, path, begin)
    return OpenBundle(path=path, form="run" if script else "tar", top=top, pieces=pieces, tar=begin)


def _pieces(file: BinaryIO, path: Path, begin: int) -> tuple[str, dict[str, Piece]]:
    pieces: dict[str, Piece] = {}
    tops = set()
    size = file.seek(0, os.SEEK_END)
    file.seek(begin)
    stream = TarStream(file, seekable=True)
    for member in stream:
        top, _, name = member.path.partition("/")
        tops.add(top)
        if member.kind == LINK or (not name and member.kind != DIRECTORY):
            raise TarDamage(f"{member.path} is a symbolic link or is outside the bundle's directory")
        if member.kind == DIRECTORY:
            continue
        if name in pieces:
            raise TarDamage(f"{name} appears twice")
        pieces[name] = Piece(file=path, offset=begin + stream.offset, size=member.size)
        if begin + stream.offset + member.size > size:
            raise TarDamage(f"it is truncated in {name}")
    if len(tops) != 1:
        raise TarDamage(f"it has {len(tops)} top-level directories instead of one")
    return tops.pop(), pieces

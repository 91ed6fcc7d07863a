"""Members -> a compressed tar that is the same bytes for the same members.

Owner 0:0, one mtime, PAX records only where ustar has no room. The stream is cut into blocks of at most 8 MiB, each
a gzip member of its own (RFC 1952 allows any number), compressed in parallel: GNU and busybox tar read them as one.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import deflate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.pack.members import Member

__all__ = ["TreeEntry", "WrittenArchive", "epoch", "tar_header", "tar_padding", "write_archive"]

_BLOCK = 8 << 20
_GZIP_LEVEL = 5
_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, kw_only=True)
class TreeEntry:
    """One member as it will stand on the target. ``digest`` is of the content, or the link's target as text."""

    path: str
    mode: int
    digest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class WrittenArchive:
    """The archive's own digest and size in bytes, and the tree it holds (directories left out)."""

    sha256: str
    size: int
    tree: tuple[TreeEntry, ...]


def epoch() -> int:
    """The one mtime: ``SOURCE_DATE_EPOCH`` (seconds), else 1980-01-01, which every archive format can hold."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))


def write_archive(members: Iterable[Member], file: BinaryIO) -> WrittenArchive:
    """Write ``members`` in their order to ``file`` as gzip members; reads each member once."""
    digest, size = hashlib.sha256(), 0
    tree: list[TreeEntry] = []
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(max_workers=workers) as pool:
        waiting: deque[Future[bytearray]] = deque()

        def write_oldest() -> None:
            nonlocal size
            packed = waiting.popleft().result()
            digest.update(packed)
            file.write(packed)
            size += len(packed)

        for block in _blocks(_stream(members, tree)):
            waiting.append(pool.submit(deflate.gzip_compress, block, _GZIP_LEVEL))
            if len(waiting) > workers:  # bounds the memory to a few blocks
                write_oldest()
        while waiting:
            write_oldest()
    return WrittenArchive(sha256=digest.hexdigest(), size=size, tree=tuple(tree))


def tar_header(path: str, mode: int, *, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A tar header (POSIX.1-2001 pax where ustar has no room), owned by 0:0, with the one mtime."""
    info = tarfile.TarInfo(path)
    info.mode, info.size, info.type, info.linkname, info.mtime = mode, size, kind, link, epoch()
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def tar_padding(size: int) -> bytes:
    """The zeros that fill a file of ``size`` bytes up to whole tar blocks."""
    return bytes(-size % tarfile.BLOCKSIZE)


def _stream(members: Iterable[Member], tree: list[TreeEntry]) -> Iterator[bytes]:
    for member in members:
        if member.is_directory:
            yield tar_header(member.path, member.mode, kind=tarfile.DIRTYPE)
            continue
        if member.link is not None:
            yield tar_header(member.path, member.mode, kind=tarfile.SYMTYPE, link=member.link)
            tree.append(TreeEntry(path=member.path, mode=member.mode, digest=member.link, size=0))
            continue
        content = member.read()
        yield tar_header(member.path, member.mode, size=len(content))
        yield content
        yield tar_padding(len(content))
        digest = hashlib.sha256(content).hexdigest()
        tree.append(TreeEntry(path=member.path, mode=member.mode, digest=digest, size=len(content)))
    yield _END


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of ``_BLOCK`` bytes (the last is shorter)."""
    held = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while len(held) + len(view) >= _BLOCK:
            room = _BLOCK - len(held)
            held += view[:room]
            view = view[room:]
            yield bytes(held)
            held.clear()
        held += view
    if held:
        yield bytes(held)

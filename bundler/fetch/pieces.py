"""Files on HTTP servers of which only pieces are read, with a Range header."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bundler.fetch.download import DownloadFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from bundler.fetch.download import Downloader

__all__ = ["open_pieces"]

_TAIL = 1 << 16
"""Bytes at a file's end that are asked for first: there a zip file says what is in it."""
_MOST = 16 << 20
"""Bytes that are read of one file."""


def open_pieces(urls: Sequence[str], downloader: Downloader, check: Callable[[int], None]) -> io.BufferedReader:
    """A file that is at each of ``urls``, to be read wherever one likes; ``check`` is told of bytes that come.

    Raises :class:`DownloadFailed`, as its methods do, also for a server that sends no pieces.
    """
    return io.BufferedReader(_Pieces(urls, downloader, check), _TAIL)


class _Pieces(io.RawIOBase):
    def __init__(self, urls: Sequence[str], downloader: Downloader, check: Callable[[int], None]) -> None:
        self._urls = urls
        self._downloader = downloader
        self._check = check
        self._place = self._read = 0
        self._tail, self._size = self._ask(f"-{_TAIL}")

    def _ask(self, which: str) -> tuple[bytes, int]:
        data, size = self._downloader.piece(self._urls, which, most=_MOST - self._read)
        self._read += len(data)
        self._check(len(data))
        return data, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("before the beginning of the file")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Buffer, /) -> int:
        into = memoryview(buffer)
        first, last = self._place, min(self._place + len(into), self._size)
        if first >= last:
            return 0
        tail = self._size - len(self._tail)
        if first >= tail:
            data = self._tail[first - tail : last - tail]
        else:
            data, size = self._ask(f"{first}-{last - 1}")
            if size != self._size or len(data) > last - first or not data:
                raise DownloadFailed("the file on the server changed during the download")
        into[: len(data)] = data
        self._place += len(data)
        return len(data)

"""A part of a file as a file, and a stream that ends with an error when it goes on for too long."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["TooLongError", "limited", "window"]

_CHUNK = 1 << 18


class TooLongError(ValueError):
    """More bytes came than ``most``."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it unpacks to more than {most >> 20} MiB")


def window(file: IO[bytes], size: int) -> BinaryIO:
    """The next ``size`` bytes of a file."""
    return io.BufferedReader(_Window(file, size), _CHUNK)


def limited(file: IO[bytes], most: int) -> BinaryIO:
    """All that comes; reading raises :class:`TooLongError` for more than ``most`` bytes."""
    return io.BufferedReader(_Limited(file, most), _CHUNK)


class _Window(io.RawIOBase):
    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file = file
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        into = memoryview(buffer)
        data = self._read(len(into))
        into[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        return self._file.read(min(size, self._left))


class _Limited(_Window):
    def __init__(self, file: IO[bytes], most: int) -> None:
        super().__init__(file, most)
        self._most = most

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) > self._left:
            raise TooLongError(self._most)
        return data

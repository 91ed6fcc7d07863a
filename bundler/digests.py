"""SHA-256 of what may be large: a piece at a time."""

from __future__ import annotations

import hashlib
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["file_sha256", "sha256_of", "stream_sha256"]

_CHUNK = 1 << 20


def sha256_of(pieces: Iterable[bytes]) -> str:
    """The digest of ``pieces``, one behind the other, in hex."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The digest of a file's content, in hex. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return stream_sha256(file)


def stream_sha256(file: IO[bytes]) -> str:
    """The digest of all that is left to be read of ``file``, in hex."""
    return sha256_of(iter(lambda: file.read(_CHUNK), b""))

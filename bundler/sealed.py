"""Files that one build keeps for the next: whole from the moment that they have their name, with a digest of their own.

What is torn or damaged is as if it were not there, and a disk that is full costs the next build time, not this one its
success.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

from bundler.errors import PackError

__all__ = ["read_sealed", "write_sealed", "write_whole"]

_DIGEST = hashlib.sha256().digest_size


def write_sealed(path: Path, content: bytes) -> None:
    """Keep ``content``, or nothing if that cannot be."""
    with suppress(OSError), tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as room:
        written = Path(room) / path.name
        written.write_bytes(hashlib.sha256(content).digest() + content)
        written.replace(path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file for somebody else, whole or not at all. Raises :class:`PackError`."""
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as room:
            written = Path(room) / path.name
            written.write_bytes(content)
            written.replace(path)
    except OSError as error:
        raise PackError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def read_sealed(path: Path) -> bytes | None:
    """What was kept; None if nothing was, or something else is there by now."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    digest, content = sealed[:_DIGEST], sealed[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None

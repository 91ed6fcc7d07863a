"""Files that one build caches for the next, written atomically and with their own checksum.

A truncated or corrupted file counts as missing. If the disk is full, nothing is cached: the next build is slower, but
this one succeeds.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from bundler.atomic import write_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_sealed", "write_sealed"]

_DIGEST = hashlib.sha256().digest_size


def write_sealed(path: Path, content: bytes) -> None:
    """Cache ``content``, if possible."""
    with suppress(OSError):
        write_file(path, hashlib.sha256(content).digest() + content)


def read_sealed(path: Path) -> bytes | None:
    """The cached content; None if it is missing or was changed."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    digest, content = sealed[:_DIGEST], sealed[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None

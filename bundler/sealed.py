"""Files that one build keeps for the next: whole from the moment that they have their name, with a digest of their own.

What is torn or damaged is as if it were not there, and a disk that is full costs the next build time, not this one its
success.
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
    """Keep ``content``, or nothing if that cannot be."""
    with suppress(OSError):
        write_file(path, hashlib.sha256(content).digest() + content)


def read_sealed(path: Path) -> bytes | None:
    """What was kept; None if nothing was, or something else is there by now."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    digest, content = sealed[:_DIGEST], sealed[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None

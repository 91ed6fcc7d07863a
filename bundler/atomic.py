"""Atomic writes, and locks that the kernel releases when their holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["hold_lock", "new_name", "sync_directory", "write_file"]


def new_name(path: Path) -> Path:
    """An unused temporary name next to ``path``, for a file that will be renamed to it."""
    return path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")


def write_file(path: Path, content: bytes, *, mode: int | None = None, sync: bool = False) -> None:
    """Write a file atomically: readers see either the old content or the new one.

    Without ``mode``, the umask decides; with ``sync``, the content reaches the disk before the rename. Raises OSError.
    """
    temporary = new_name(path)
    try:
        with temporary.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Flush a directory's entries to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def hold_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock (flock(2)) of a directory, or of a file, which is created if it does not exist.

    Raises BlockingIOError if somebody else has it and we do not ``wait``.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)

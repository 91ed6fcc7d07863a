"""Limits on how much packages may unpack to: a few kilobytes of an archive can fill any disk.

Operations without a limit of their own are watched. They are ended when only a reserve of the disk is left, whoever
filled it, or when they have written far more than the packages declare.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import PrefixError
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "UNDECLARED",
    "check_space",
    "kept_free",
    "mib",
    "open_files",
    "size_of",
    "space_left",
    "too_little",
    "watch",
]

UNDECLARED = 512 << 20
"""Additional bytes for what a package does not declare: ``info/`` and directories."""
_MOST_KEPT = 1 << 30
_SHARE = 20
_PAUSE = 0.05


def kept_free(directory: Path) -> int:
    """The reserve in bytes on the disk of ``directory``: a twentieth of what is free now, at most a gibibyte."""
    return min(_MOST_KEPT, shutil.disk_usage(directory).free // _SHARE)


def space_left(directory: Path, kept: int) -> int:
    """Bytes that may still be written to the disk of ``directory``, with a reserve of ``kept``."""
    return shutil.disk_usage(directory).free - kept


def check_space(room: Path, size: int, *, what: str) -> int:
    """Raise :class:`PrefixError` if there is no space for ``size`` bytes; return the reserve."""
    kept = kept_free(room)
    if (left := space_left(room, kept)) < size:
        raise too_little(f"the {what} unpack to {mib(size)}, but the disk has only {mib(left)} for them")
    return kept


def too_little(reason: str) -> PrefixError:
    """The error for a disk that is too small."""
    return PrefixError(
        reason,
        where=str(cache_dir("pkgs")),
        remedy="Free some space there, or set CONDA_BUNDLER_CACHE to another disk.",
    )


def mib(size: int) -> str:
    """A human-readable number of bytes."""
    return f"{size / (1 << 20):,.0f} MiB"


def size_of(directory: Path) -> int:
    """The size of all files in ``directory``, which may be changing, including holes."""
    total = 0
    pending = [os.fspath(directory)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def open_files(directory: Path) -> list[Path]:
    """The files directly in ``directory`` with temporary names that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it has just been closed
            path = descriptor.readlink()
            if path.parent == directory and path.name.startswith("."):
                found.append(path)
    return found


def watch(directory: Path, kept: int, most: int | None, ends: Callable[[], None]) -> Callable[[], None]:
    """Call ``ends``, from a new thread, when fewer than ``kept`` bytes of the disk are free.

    Also when ``directory`` has more than ``most`` bytes, unless that is None. The returned function checks once more.
    """
    before = shutil.disk_usage(directory).free

    def look() -> None:
        nonlocal before
        free = shutil.disk_usage(directory).free
        if free < kept:
            ends()
        if most is not None and before - free > most:
            if size_of(directory) > most:
                ends()
            before = free + most // 2  # others may write to this disk, too

    def look_on() -> None:
        pause = threading.Event()
        while not pause.wait(_PAUSE):
            look()

    threading.Thread(target=look_on, daemon=True).start()
    return look

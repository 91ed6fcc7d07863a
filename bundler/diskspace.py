"""How much packages may unpack to: some kilobytes of an archive can become more than any disk holds.

What has no limit of its own is watched while it is done. It ends when the disk is down to a reserve, whoever has filled
it; or when it has written more than the packages declare, and much more.
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
"""Bytes beyond what a package declares: ``info/`` itself, and directories, are not."""
_MOST_KEPT = 1 << 30
_SHARE = 20
_PAUSE = 0.05


def kept_free(directory: Path) -> int:
    """Bytes that are to stay free on the disk of ``directory``: a twentieth of what is free now, a gibibyte at most."""
    return min(_MOST_KEPT, shutil.disk_usage(directory).free // _SHARE)


def space_left(directory: Path, kept: int) -> int:
    """Bytes that may still be written to the disk of ``directory``, of which ``kept`` are to stay free."""
    return shutil.disk_usage(directory).free - kept


def check_space(room: Path, size: int, *, what: str) -> int:
    """Raise :class:`PrefixError` if there is no space for so many bytes; how many are to stay free."""
    kept = kept_free(room)
    if (left := space_left(room, kept)) < size:
        raise too_little(f"the {what} unpack to {mib(size)}, and the disk has {mib(left)} for them")
    return kept


def too_little(reason: str) -> PrefixError:
    """What to say of a disk that is too small."""
    return PrefixError(
        reason, where=str(cache_dir("pkgs")), remedy="Make room there, or have CONDA_BUNDLER_CACHE name another disk."
    )


def mib(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / (1 << 20):,.0f} MiB"


def size_of(directory: Path) -> int:
    """Bytes of what is in ``directory``, holes included, as far as it can be seen while it changes."""
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
    """Those files directly in ``directory`` that this process has open, and that have temporary names."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it has just been closed
            path = descriptor.readlink()
            if path.parent == directory and path.name.startswith("."):
                found.append(path)
    return found


def watch(directory: Path, kept: int, most: int | None, ends: Callable[[], None]) -> Callable[[], None]:
    """Call ``ends``, from a thread of its own, when fewer than ``kept`` bytes of the disk are free.

    Or when there are more than ``most`` in ``directory``, if that is not None. What is returned looks once more.
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
            before = free + most // 2  # others write to this disk as well

    def look_on() -> None:
        pause = threading.Event()
        while not pause.wait(_PAUSE):
            look()

    threading.Thread(target=look_on, daemon=True).start()
    return look

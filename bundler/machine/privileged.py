"""Setuid and setgid programs of a root file system that somebody has given: on a machine, and only there.

On the host whoever could start one would be root. So the tree in the cache has none; which files had these bits is
written beside it, and a machine gives them back before it boots.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from bundler.machine.inside import chmod_inside
from bundler.scratch import files_below

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["give_back", "take"]

_BITS = stat.S_ISUID | stat.S_ISGID


def take(root: Path, final: Path) -> None:
    """Take the bits from all files below ``root``, which will be called ``final``."""
    taken = []
    for name in files_below(root):
        mode = (root / name).lstat().st_mode
        if stat.S_ISREG(mode) and mode & _BITS:
            taken.append((os.fsencode(name).decode("latin-1"), stat.S_IMODE(mode)))
            (root / name).chmod(stat.S_IMODE(mode) & ~_BITS)
    _record(final).write_text(json.dumps(taken))


def give_back(rootfs: Path, root: Path) -> None:
    """Give the bits back in ``root``, a machine's disk above ``rootfs`` on which nothing runs yet."""
    if not _record(rootfs).is_file():
        return
    for name, mode in json.loads(_record(rootfs).read_text()):
        with suppress(FileNotFoundError):  # removed in the state that it begins with
            chmod_inside(root, os.fsdecode(name.encode("latin-1")), mode)


def _record(rootfs: Path) -> Path:
    return rootfs.with_name(f".{rootfs.name}.modes")

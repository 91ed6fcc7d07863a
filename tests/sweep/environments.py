"""An environment for each project, from wheels; and what our code makes of its files.

Each is a directory of its own for PYTHONPATH, so that a project's marks are its own and its dependencies' alone. uv
links its files to its cache: what many need is on disk once, and looked at once.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

from bundler.codemarks import look
from bundler.pack.members import TreeEntry
from bundler.units.contents import Contents, find_marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.elf import Elf
    from sweep.table import Project

__all__ = ["PLACE", "PLATFORM", "PYTHON", "Environment", "NotInstalledError", "installed", "make_environment"]

PLATFORM = "linux-64"
PYTHON = "3.11"
PLACE = f"env/lib/python{PYTHON}/site-packages"
"""Where the files would be in a release: some of what our code knows goes by that."""
_GLIBC = "x86_64-manylinux_2_36"
_RETRIES = 2


class NotInstalledError(Exception):
    """There are no such wheels; the text is what uv says."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """``path`` is a directory for PYTHONPATH, ``contents`` what decides how a service with it is confined."""

    path: Path
    contents: Contents


def make_environment(project: Project, place: Path, wheels: Path) -> Environment:
    """Make ``place`` anew, with ``wheels`` as uv's cache. Raises NotInstalledError."""
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    if project.requires:
        _install(project.requires, place, wheels)
    return Environment(path=place, contents=installed(place))


def installed(place: Path) -> Contents:
    """What of ``place``, where wheels have been installed, decides how a service is confined."""
    names = (found.name.partition("-")[0] for found in place.glob("*.dist-info"))
    packages = frozenset(re.sub(r"[-_.]+", "-", name).lower() for name in names)
    return Contents(packages=packages, marks=find_marks(_tree(place), PLATFORM))


def _install(requires: tuple[str, ...], place: Path, wheels: Path) -> None:
    words = [find_uv_bin(), "pip", "install", "--quiet", "--only-binary", ":all:"]
    words += ["--link-mode", "hardlink", "--target", str(place)]
    words += ["--python", sys.executable, "--python-version", PYTHON, "--python-platform", _GLIBC, *requires]
    environment = {**os.environ, "UV_CACHE_DIR": str(wheels)}
    for left in reversed(range(_RETRIES + 1)):
        done = subprocess.run(words, env=environment, check=False, capture_output=True, text=True, timeout=3600)
        if done.returncode == 0:
            return
        if not left:
            raise NotInstalledError(" ".join(done.stderr.split()))


def _tree(place: Path) -> Iterator[TreeEntry]:
    for directory, _, names in os.walk(place):
        for name in names:
            path = Path(directory, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size:
                inside = f"{PLACE}/{path.relative_to(place)}"
                elf, marks = _seen(status.st_dev, status.st_ino, inside, path)
                yield TreeEntry(
                    path=inside, mode=status.st_mode & 0o777, digest="", size=status.st_size, elf=elf, marks=marks
                )


_known: dict[tuple[int, int], tuple[Elf | None, tuple[str, ...]]] = {}


def _seen(device: int, inode: int, inside: str, path: Path) -> tuple[Elf | None, tuple[str, ...]]:
    """What the file says; a file that several environments have is read once."""
    if (device, inode) not in _known:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _known[device, inode] = look(inside, content)
    return _known[device, inode]

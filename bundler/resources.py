"""Files that ship with the package, and our cache directories."""

from __future__ import annotations

import hashlib
import os
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["cache_dir", "code_digest", "documentation", "templates_digest", "templates_dir"]

_PACKAGE = Path(__file__).parent
_OURS_ALONE = 0o700
_NO_CODE = frozenset({"site", "templates"})
"""Directories that a wheel has inside the package."""
_IN_NO_BUNDLE = frozenset({"init", "report"})
"""Directories of templates that are not used for bundles."""


def templates_dir() -> Path:
    """The directory of templates: the checkout's in a checkout, else the copy in the wheel.

    In an editable installation the packaged copy is missing, or outdated after a build, so the checkout is used.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "templates").is_dir():
        return checkout / "templates"
    return _PACKAGE / "templates"


def documentation() -> Path:
    """The documentation's first page: the one that ``make docs`` built in a checkout, else the copy in the wheel.

    Raises MissingToolError if it was not built.
    """
    checkout = _PACKAGE.parent
    is_checkout = (checkout / "zensical.toml").is_file()
    page = (checkout / "build" / "site" if is_checkout else _PACKAGE / "site") / "index.html"
    if not page.is_file():
        raise MissingToolError(
            "the documentation is not part of this installation",
            remedy="Run `make docs` in the checkout."
            if is_checkout
            else "It was installed from sources. Install a released wheel, or run `make docs` in a checkout.",
        )
    return page


@cache
def templates_digest() -> str:
    """The SHA-256 of the names and contents of all templates for bundles, as 64 hex digits."""
    base = templates_dir()
    rooms = (room for room in base.iterdir() if room.name not in _IN_NO_BUNDLE)
    return _digest_of(base, (path for room in rooms for path in room.rglob("*") if path.is_file()))


@cache
def code_digest() -> str:
    """The same for our own modules and their data files, whether installed or in a checkout."""
    rooms = (_PACKAGE, *(path for path in _PACKAGE.iterdir() if path.is_dir() and path.name not in _NO_CODE))
    found = (path for room in rooms for path in (room.glob("*") if room == _PACKAGE else room.rglob("*")))
    return _digest_of(_PACKAGE, (path for path in found if path.suffix in (".py", ".json")))


def _digest_of(base: Path, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(base).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def cache_dir(room: str) -> Path:
    """``$CONDA_BUNDLER_CACHE/<room>``, or a directory in the user's cache directory (XDG). Created if missing, mode
    0700.

    Unpacked packages may contain setuid programs, so nobody else may access it. Raises ConfigError if we are root and
    others could have written to it, since root would run their files.
    """
    from platformdirs import user_cache_path

    given = os.environ.get("CONDA_BUNDLER_CACHE")
    base = Path(given) if given else user_cache_path("conda-bundler")
    path = base / room
    if not base.is_dir():
        base.parent.mkdir(parents=True, exist_ok=True)
    for directory in (base, path):  # never create anything in a directory of somebody else
        if not directory.is_dir():
            directory.mkdir(mode=_OURS_ALONE, exist_ok=True)
        _check_owner(directory)
    _close(path)
    return path


def _check_owner(directory: Path) -> None:
    if os.geteuid() != 0:
        return
    status = directory.stat()
    if status.st_uid != 0:
        wrong = f"it belongs to another user (uid {status.st_uid})"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = f"it is writable by other users (mode {stat.S_IMODE(status.st_mode):04o})"
    else:
        return
    raise ConfigError(
        f"refusing to use this cache as root: {wrong}",
        where=str(directory),
        remedy="Other users may have changed its contents. Remove it, or set CONDA_BUNDLER_CACHE to a directory owned "
        "by root.",
    )


def _close(directory: Path) -> None:
    """Restrict the mode, also of a directory that an older version created."""
    status = directory.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~_OURS_ALONE:
        directory.chmod(_OURS_ALONE)

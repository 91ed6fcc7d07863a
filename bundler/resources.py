"""Files that ship with the package, and the places where we keep our own."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

__all__ = ["cache_dir", "templates_digest", "templates_dir"]

_PACKAGE = Path(__file__).parent


def templates_dir() -> Path:
    """The directory of templates: the checkout's in a checkout, else the copy in the wheel.

    In an editable install the packaged copy is missing, or stale after a build; the checkout wins.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "templates").is_dir():
        return checkout / "templates"
    return _PACKAGE / "templates"


@cache
def templates_digest() -> str:
    """SHA-256 over the names and contents of all templates, 64 hex digits."""
    base, digest = templates_dir(), hashlib.sha256()
    for path in sorted(path for path in base.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(base).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def cache_dir(room: str) -> Path:
    """``$CONDA_BUNDLER_CACHE/<room>``, else in the user's cache directory (XDG). Made if it is missing."""
    from platformdirs import user_cache_path

    base = os.environ.get("CONDA_BUNDLER_CACHE")
    path = (Path(base) if base else user_cache_path("conda-bundler")) / room
    path.mkdir(parents=True, exist_ok=True)
    return path

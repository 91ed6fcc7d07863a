"""What conda-lock has said before: that a lockfile is fresh takes it most of a second, at each build.

Its answer follows from what it reads, and from nothing else; so the same inputs need not be shown to it again. Only
that a lockfile is fresh is kept, one answer for each lockfile.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from bundler import __version__
from bundler.resources import cache_dir
from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Answer"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Whether conda-lock has called a lockfile fresh; ``key`` is a digest of all that it was shown."""

    path: Path
    key: str

    @classmethod
    def to(cls, lockfile: Path, inputs: Mapping[str, Any]) -> Answer:
        """The answer for ``lockfile`` and these ``inputs``, of types that JSON has or that ``str`` tells apart."""
        everything = {**inputs, "conda-lock": _conda_lock(), "conda-bundler": __version__}
        canonical = json.dumps(everything, sort_keys=True, default=str)
        name = hashlib.sha256(os.fsencode(lockfile.absolute())).hexdigest()
        return cls(path=cache_dir("fresh") / name, key=hashlib.sha256(canonical.encode()).hexdigest())

    def known(self) -> bool:
        """Whether it was fresh with these very inputs."""
        return read_sealed(self.path) == self.key.encode()

    def keep(self) -> None:
        """It is. A cache that cannot be written to costs the next build time, not this one its success."""
        write_sealed(self.path, self.key.encode())


def _conda_lock() -> str:
    try:
        return version("conda-lock")
    except PackageNotFoundError:  # one that is installed elsewhere
        return "unknown"

"""Cache conda-lock's answer that a lockfile is up to date, which takes it most of a second in each build.

The answer depends only on its inputs. Only positive answers are cached, one for each lockfile.
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
    """conda-lock's answer that a lockfile is up to date; ``key`` is a digest of its inputs."""

    path: Path
    key: str

    @classmethod
    def to(cls, lockfile: Path, inputs: Mapping[str, Any]) -> Answer:
        """The answer for ``lockfile`` and these ``inputs``, which are JSON or have distinct ``str`` values."""
        everything = {**inputs, "conda-lock": _conda_lock(), "conda-bundler": __version__}
        canonical = json.dumps(everything, sort_keys=True, default=str)
        name = hashlib.sha256(os.fsencode(lockfile.absolute())).hexdigest()
        return cls(path=cache_dir("fresh") / name, key=hashlib.sha256(canonical.encode()).hexdigest())

    def known(self) -> bool:
        """Whether it was up to date with exactly these inputs."""
        return read_sealed(self.path) == self.key.encode()

    def keep(self) -> None:
        """Record that it is up to date. Errors are ignored, since they only cost the next build time."""
        write_sealed(self.path, self.key.encode())


def _conda_lock() -> str:
    try:
        return version("conda-lock")
    except PackageNotFoundError:  # one that is installed elsewhere
        return "unknown"

"""What conda-lock has said before: that a lockfile is fresh takes it most of a second, at each build.

Its answer follows from what it reads, and from nothing else; so the same inputs need not be shown to it again. Only
that a lockfile is fresh is kept, one answer for each lockfile.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler import __version__
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        try:
            return self.path.read_text(encoding="ascii") == self.key
        except (OSError, UnicodeError):
            return False

    def keep(self) -> None:
        """It is. A cache that cannot be written to costs the next build time, not this one its success."""
        with suppress(OSError), tempfile.TemporaryDirectory(dir=self.path.parent) as room:
            written = Path(room) / self.path.name
            written.write_text(self.key, encoding="ascii")
            written.replace(self.path)


def _conda_lock() -> str:
    try:
        return version("conda-lock")
    except PackageNotFoundError:  # one that is installed elsewhere
        return "unknown"

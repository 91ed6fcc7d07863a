"""``[bundle] lockfile``: the lockfiles and their formats.

conda-bundler writes conda-lock.yml. All other lockfiles belong to other tools, and are only read.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CONDA_LOCK",
    "DEFAULT",
    "EXPLICIT",
    "PIXI",
    "PYLOCK",
    "UV",
    "Kind",
    "Lockfiles",
    "kind_of",
    "kind_of_text",
    "sort_lockfiles",
]

DEFAULT = "default"
"""The name of the environment that every pixi workspace has."""
_RESERVED = re.compile(
    r"install\.sh|manage|(manifest|sbom\.cdx|provenance)\.json|SHA256SUMS|payload\..*|config|launch|tools|units"
)
"""The names of other files in a bundle."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Kind:
    """A format: its usual name, how to write such a file, and whether it has only wheels."""

    name: str
    remedy: str
    wheels: bool = False


CONDA_LOCK = Kind("conda-lock.yml", "Lock again: conda-bundler lock")
PIXI = Kind("pixi.lock", "Write it with pixi: pixi lock")
EXPLICIT = Kind("@EXPLICIT file", "Write it with conda: conda list --explicit --sha256")
PYLOCK = Kind(
    "pylock.toml", "Write it with the tool that created it: uv export --format pylock.toml, pip lock", wheels=True
)
UV = Kind("uv.lock", "Write it with uv: uv lock", wheels=True)

_NAMES = (
    (re.compile(r"pixi\.lock"), PIXI),
    (re.compile(r"uv\.lock"), UV),
    (re.compile(r"pylock(\.[^.]+)?\.toml"), PYLOCK),  # PEP 751 allows no other names
)
_RENDERED = re.compile(r"conda-(linux|osx|win)-\w+\.lock")
"""The names of files written by `conda-lock --kind explicit`."""
_MARKS = (
    (re.compile(rb"^@EXPLICIT\s*$", re.MULTILINE), EXPLICIT),
    (re.compile(rb"^lock-version\s*=", re.MULTILINE), PYLOCK),
    (re.compile(rb"^\[\[package\]\]\s*$", re.MULTILINE), UV),
    (re.compile(rb"^environments\s*:", re.MULTILINE), PIXI),
)


def kind_of(path: Path) -> Kind:
    """The format of ``path``: by its name if a tool requires that name, else by its content."""
    for pattern, kind in _NAMES:
        if pattern.fullmatch(path.name):
            return kind
    try:
        data = path.read_bytes()
    except OSError:  # the reader reports what is wrong
        return EXPLICIT if _RENDERED.fullmatch(path.name) else CONDA_LOCK
    return kind_of_text(data)


def kind_of_text(data: bytes) -> Kind:
    """The same from the content alone."""
    data = data.removeprefix(codecs.BOM_UTF8)
    return next((kind for mark, kind in _MARKS if mark.search(data)), CONDA_LOCK)


@dataclass(frozen=True, kw_only=True)
class Lockfiles:
    """The lockfiles of a project.

    ``conda`` are files with conda packages (and possibly wheels), with each platform in one of them; ``wheels`` is a
    file with only wheels, which are selected for the Python of the conda packages. ``environment`` is that of a
    pixi.lock, ``glibc`` the C library of each platform's servers, ``injected`` the names of injected wheels.
    """

    conda: tuple[Path, ...]
    wheels: Path | None = None
    environment: str | None = None
    glibc: tuple[tuple[str, str], ...] = ()
    injected: frozenset[str] = frozenset()

    @classmethod
    def of(cls, path: Path) -> Lockfiles:
        """A single lockfile."""
        return cls(conda=(path,))

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return (*self.conda, *((self.wheels,) if self.wheels else ()))

    @property
    def written_by_us(self) -> bool:
        """Whether `conda-bundler lock` writes the conda part."""
        return kind_of(self.conda[0]) is CONDA_LOCK

    @property
    def told(self) -> str:
        """Their names in messages."""
        return ", ".join(path.name for path in self.files)


def sort_lockfiles(paths: Iterable[Path], *, where: str) -> Lockfiles:
    """The files by purpose. Raises :class:`ConfigError` for an invalid combination."""
    paths = tuple(paths)
    kinds = {path: kind_of(path) for path in paths}
    conda = tuple(path for path in paths if not kinds[path].wheels)
    wheels = tuple(path for path in paths if kinds[path].wheels)
    if not conda:
        raise ConfigError(
            f"bundle.lockfile: {wheels[0].name} has only wheels, and no Python for them",
            where=where,
            remedy=f'Name a lockfile with conda\'s Python, too: lockfile = ["conda-lock.yml", "{wheels[0].name}"]',
        )
    if len(wheels) > 1:
        raise ConfigError(
            f"bundle.lockfile: {' and '.join(path.name for path in wheels)} both contain the wheels; use one file for "
            "all platforms",
            where=where,
        )
    if len(conda) > 1 and any(kinds[path] is not EXPLICIT for path in conda):
        others = ", ".join(f"{path.name} ({kinds[path].name})" for path in conda)
        raise ConfigError(
            f"bundle.lockfile: only @EXPLICIT files, one per platform, may be listed together; found {others}",
            where=where,
        )
    names = Counter(path.name for path in paths)
    if odd := [name for name in names if not _PLAIN.fullmatch(name)]:
        raise ConfigError(f"bundle.lockfile: {odd[0]!r} is not a valid file name in a bundle", where=where)
    if twice := [name for name, count in names.items() if count > 1 or _RESERVED.fullmatch(name)]:
        raise ConfigError(
            f"bundle.lockfile: two lockfiles have the same name: {twice[0]}",
            where=where,
        )
    return Lockfiles(conda=conda, wheels=wheels[0] if wheels else None)

"""``[bundle] inject`` -> the packages that its patterns name, looked into."""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from bundler.errors import BundlerError, ConfigError
from bundler.fetch.archives import index_of, subdir_of
from bundler.wheels.names import conda_names
from bundler.wheels.read import Wheel, read_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundler.config.project import BundleConfig

__all__ = ["CondaFile", "LocalFile", "WheelFile", "find_local", "local_wheel_names", "name_at_conda"]

_SUFFIXES = (".whl", ".conda", ".tar.bz2")
_PLAIN = re.compile(r"[A-Za-z0-9_.!+~-]+")


@dataclass(frozen=True, kw_only=True)
class WheelFile:
    """``told`` is what the file is called in messages: its path as the pattern gives it."""

    path: Path
    told: str
    wheel: Wheel

    @property
    def name(self) -> str:
        """What conda would call it, normalised: a package of that name is taken for the same."""
        return name_at_conda(self.wheel.name)


@dataclass(frozen=True, kw_only=True)
class CondaFile:
    """The same for a conda package; the rest is of its ``info/index.json``."""

    path: Path
    told: str
    package: str
    version: str
    build: str
    subdir: str
    depends: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.package)

    @property
    def filename(self) -> str:
        """What a channel would call it: the package cache goes by this, whatever the file is called here."""
        suffix = ".conda" if self.path.name.endswith(".conda") else ".tar.bz2"
        return f"{self.package}-{self.version}-{self.build}{suffix}"


LocalFile = WheelFile | CondaFile


def find_local(config: BundleConfig) -> tuple[LocalFile, ...]:
    """All that ``[bundle] inject`` names, each once, sorted by path.

    Raises :class:`ConfigError` with every pattern that names nothing and every file that is no package.
    """
    found: dict[Path, LocalFile] = {}
    mistakes = []
    for pattern in config.bundle.inject:
        matches = _matches(config.directory, pattern)
        if not matches:
            mistakes.append(f"{pattern!r} matches no file; build the package first, or remove the pattern")
        for told in matches:
            path = (config.directory / told).resolve()
            try:
                found[path] = _read(path, told)
            except BundlerError as error:
                mistakes.append(f"{told}: {error.message}")
    if mistakes:
        raise ConfigError("; ".join(mistakes), where=f"{config.source}: bundle.inject")
    return tuple(found[path] for path in sorted(found))


def local_wheel_names(config: BundleConfig) -> frozenset[str]:
    """The projects of which there is a wheel; for locking, which is no time to ask for what is built later."""
    names = set()
    for pattern in config.bundle.inject:
        for told in _matches(config.directory, pattern):
            try:
                names.add(str(parse_wheel_filename(Path(told).name)[0]))
            except InvalidWheelFilename:
                continue
    return frozenset(names)


def name_at_conda(project: str) -> str:
    """What conda calls a project of a package index, normalised."""
    return canonicalize_name(conda_names().get(canonicalize_name(project), project))


def _matches(directory: Path, pattern: str) -> Sequence[str]:
    return sorted(glob.glob(pattern, root_dir=directory, recursive=True))  # noqa: PTH207 -- may be absolute


def _read(path: Path, told: str) -> LocalFile:
    if not path.name.endswith(_SUFFIXES):
        raise ConfigError(f"is neither a wheel nor a conda package ({', '.join(_SUFFIXES)})")
    if path.name.endswith(".whl"):
        return WheelFile(path=path, told=told, wheel=read_wheel(path))
    try:
        index = json.loads(index_of(path, where=told))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not a conda package: its index.json cannot be read: {error}") from error
    try:
        words = [*(index[key] for key in ("name", "version", "build")), subdir_of(index, "")]
        depends = tuple(index.get("depends", ()))
    except (AttributeError, LookupError, TypeError) as error:
        raise ConfigError(f"not a conda package: its index.json has no {error}") from error
    if not _all_plain(words) or not all(isinstance(spec, str) for spec in depends):
        raise ConfigError(f"not a conda package: its index.json says {words}")
    name, version, build, subdir = words
    return CondaFile(path=path, told=told, package=name, version=version, build=build, subdir=subdir, depends=depends)


def _all_plain(words: Iterable[object]) -> bool:
    return all(isinstance(word, str) and _PLAIN.fullmatch(word) for word in words)

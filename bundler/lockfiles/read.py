"""Lockfiles -> :class:`Lock`, whatever wrote them: the one place where a build asks what is locked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bundler.config.lockfiles import CONDA_LOCK, PIXI, PYLOCK, kind_of
from bundler.errors import ConfigError, LockError, PrefixError
from bundler.locked import Lock, LockedPackage
from bundler.lockfiles import condalock
from bundler.lockfiles.explicit import explicit_platform, read_explicit
from bundler.lockfiles.pixi import pixi_platforms, read_pixi

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from bundler.config.lockfiles import Lockfiles

__all__ = ["files_for", "locked_categories", "locked_platforms", "read_lock"]

_MAIN = "main"


def read_lock(
    lockfiles: Lockfiles, platform: str, categories: Collection[str] | None = None, *, tools: bool = False
) -> Lock:
    """What is locked for ``platform``: the packages of ``categories``, and of ``main``; all, unless said.

    Those of :data:`~bundler.locked.TOOLS` are only among them with ``tools``. Raises :class:`ConfigError` if
    there is no such file or it was not made for the platform, :class:`LockError` if it cannot be read or has something
    that cannot be taken.
    """
    path = _conda_file(lockfiles, platform)
    if kind_of(path) is CONDA_LOCK and not lockfiles.wheels:
        return condalock.read_lock(path, platform, categories, tools=tools)
    known = {*locked_categories(lockfiles, platform), _MAIN}
    wanted = known if categories is None else {_MAIN, *categories}
    if strangers := wanted - known:
        raise ConfigError(
            f"no package is locked in category {', '.join(sorted(strangers))}; locked categories: "
            f"{', '.join(sorted(known))}",
            where=", ".join(map(str, lockfiles.files)),
            remedy="A pixi.lock has environments instead (bundle.lockfile_environment), an @EXPLICIT file has neither."
            if kind_of(path) is not CONDA_LOCK and not lockfiles.wheels
            else (
                "It must be a category in environment.yml (`category: dev`), or an extra or dependency group of the "
                "project; lock again with it."
            ),
        )
    conda = _conda_packages(lockfiles, path, platform, wanted, tools=tools)
    if not lockfiles.wheels:
        return Lock(path=path, platform=platform, packages=conda)
    wheels = _wheels(lockfiles, lockfiles.wheels, conda, wanted)
    return Lock(path=path, platform=platform, packages=_together(conda, wheels, lockfiles))


def locked_platforms(lockfiles: Lockfiles) -> tuple[str, ...]:
    """The platforms that are locked. Raises what :func:`read_lock` raises."""
    return tuple(platform for path in lockfiles.conda for platform in _platforms(lockfiles, path))


def locked_categories(lockfiles: Lockfiles, platform: str) -> dict[str, int]:
    """How many packages each category has on a platform, as far as that is known before they are chosen."""
    path = _conda_file(lockfiles, platform)
    if kind_of(path) is CONDA_LOCK:
        found = condalock.locked_categories(path, platform)
    else:
        found = {_MAIN: len(_conda_packages(lockfiles, path, platform, {_MAIN}))}
    for name in _wheel_categories(lockfiles.wheels):
        found.setdefault(name, 0)
    return found


def files_for(lockfiles: Lockfiles, platform: str) -> tuple[Path, ...]:
    """The files that say what a platform's bundle is made of."""
    return (_conda_file(lockfiles, platform), *((lockfiles.wheels,) if lockfiles.wheels else ()))


def _platforms(lockfiles: Lockfiles, path: Path) -> tuple[str, ...]:
    kind = kind_of(path)
    if kind is CONDA_LOCK:
        return condalock.locked_platforms(path)
    if not path.is_file():
        raise ConfigError("no such lockfile", where=str(path), remedy=kind.remedy)
    return pixi_platforms(path, lockfiles.environment) if kind is PIXI else (explicit_platform(path),)


def _conda_file(lockfiles: Lockfiles, platform: str) -> Path:
    """The file that has the platform's conda packages."""
    if len(lockfiles.conda) == 1 and lockfiles.written_by_us:
        return lockfiles.conda[0]  # its reader says what is wrong
    places = {path: _platforms(lockfiles, path) for path in lockfiles.conda}
    found = [path for path, platforms in places.items() if platform in platforms]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"are both locked for {platform}", where=", ".join(map(str, found)), remedy="Keep one of them."
        )
    known = ", ".join(name for platforms in places.values() for name in platforms) or "no platform at all"
    raise ConfigError(
        f"not locked for {platform}, only for {known}",
        where=", ".join(map(str, places)),
        remedy=f"Lock it for {platform} as well. {kind_of(lockfiles.conda[0]).remedy}",
    )


def _conda_packages(
    lockfiles: Lockfiles, path: Path, platform: str, wanted: Collection[str], *, tools: bool = False
) -> tuple[LockedPackage, ...]:
    kind = kind_of(path)
    if kind is CONDA_LOCK:
        known = {*condalock.locked_categories(path, platform), _MAIN}
        return condalock.read_lock(path, platform, known & {*wanted}, tools=tools).packages
    if kind is PIXI:
        return read_pixi(path, lockfiles.environment, platform, lockfiles.injected)
    return read_explicit(path, platform)


def _wheel_categories(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    from bundler.lockfiles.pylock import pylock_categories
    from bundler.lockfiles.uvlock import uv_categories

    return pylock_categories(path) if kind_of(path) is PYLOCK else uv_categories(path)


def _wheels(
    lockfiles: Lockfiles, path: Path, conda: Iterable[LockedPackage], wanted: Collection[str]
) -> tuple[LockedPackage, ...]:
    """Those for the Python that is among the conda packages."""
    from bundler.config.platforms import PlatformTable
    from bundler.lockfiles.pylock import read_pylock
    from bundler.lockfiles.target import Target
    from bundler.lockfiles.uvlock import read_uv
    from bundler.wheels.python import Python

    locked = next((package for package in conda if package.key == "python"), None)
    if locked is None:
        raise ConfigError(
            f"no Python for the wheels of {path.name}",
            where=str(lockfiles.conda[0]),
            remedy="Add python to the conda packages, and lock again.",
        )
    try:
        python = Python.of({"version": locked.version, "build": locked.build}, locked.platform)
    except PrefixError as error:
        raise LockError(error.message, where=str(lockfiles.conda[0]), remedy=error.remedy) from error
    major, minor = dict(lockfiles.glibc).get(locked.platform, PlatformTable().glibc).split(".")
    target = Target(python=python, glibc=(int(major), int(minor)), injected=lockfiles.injected)
    read = read_pylock if kind_of(path) is PYLOCK else read_uv
    return read(path, target, wanted)


def _together(
    conda: Iterable[LockedPackage], wheels: Iterable[LockedPackage], lockfiles: Lockfiles
) -> tuple[LockedPackage, ...]:
    """All, sorted; a wheel that is in both files has to be the same in both."""
    packages = {(package.name, package.manager, package.sha256): package for package in (*conda, *wheels)}
    count = Counter(package.key for package in packages.values())
    if twice := sorted(name for name, number in count.items() if number > 1):
        told = [f"{one.name} {one.version}" for one in packages.values() if one.key in twice]
        raise ConfigError(
            f"lock different wheels for the same projects: {', '.join(sorted(told))}",
            where=" and ".join(path.name for path in lockfiles.files),
            remedy="Keep these projects in one of them.",
        )
    return tuple(packages[key] for key in sorted(packages, key=lambda key: (key[0], key[1])))

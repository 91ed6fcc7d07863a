"""Local packages take their places in a lock: beside what is locked, or instead of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, PrefixError
from bundler.fetch.archives import keep
from bundler.inject.check import other_python
from bundler.inject.files import CondaFile, WheelFile, name_at_conda
from bundler.locked import LOCAL, LockedPackage
from bundler.wheels.python import Python
from bundler.wheels.read import check_fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundler.inject.files import LocalFile
    from bundler.locked import Lock
    from bundler.progress import Progress

__all__ = ["with_local"]


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """A local file and the locked packages whose place it takes."""

    file: LocalFile
    replaced: tuple[LockedPackage, ...]


def with_local(lock: Lock, files: Sequence[LocalFile], where: str, progress: Progress) -> Lock:
    """``lock`` with those of ``files`` that are for its platform, kept by content from now on.

    A local package takes the place of locked ones of its name. Raises :class:`ConfigError`, for the key ``where``, if
    of a name there is no file that fits, or more than one.
    """
    if not files:
        return lock
    chosen = [_choose(name, group, lock, where) for name, group in _by_name(files)]
    gone = {package.key for one in chosen for package in one.replaced}
    added = []
    for one in chosen:
        package = _package(one, lock.platform)
        told = ", ".join(f"{old.name} {old.version}" for old in one.replaced)
        place = f", in place of {told}" if told else ""
        progress.step(f"Injecting {package.name} {package.version} from {one.file.told}{place}")
        added.append(package)
    kept = [package for package in lock.packages if package.key not in gone]
    packages = sorted((*kept, *added), key=lambda package: (package.name, package.manager))
    return replace(lock, packages=tuple(packages))


def _by_name(files: Iterable[LocalFile]) -> list[tuple[str, list[LocalFile]]]:
    groups: dict[str, list[LocalFile]] = {}
    for file in files:
        groups.setdefault(file.name, []).append(file)
    return sorted(groups.items())


def _choose(name: str, files: Sequence[LocalFile], lock: Lock, where: str) -> _Chosen:
    """The one file of its name that fits: CI builds one for each Python and platform."""
    reasons = {file.told: _misfit(file, lock) for file in files}
    fitting = [file for file in files if not reasons[file.told]]
    if not fitting:
        said = "".join(f"\n    {told} {reason}" for told, reason in reasons.items())
        raise ConfigError(f"no file of {name} fits this environment on {lock.platform}:{said}", where=where)
    if len(fitting) > 1:
        raise ConfigError(
            f"more than one file of {name} matches on {lock.platform}: {', '.join(file.told for file in fitting)}",
            where=where,
            remedy="Remove the old ones, or list only one of them.",
        )
    return _Chosen(file=fitting[0], replaced=tuple(p for p in lock.packages if _is_same(p, fitting[0])))


def _misfit(file: LocalFile, lock: Lock) -> str:
    """Why the file is not for this platform and Python; empty if it is."""
    if isinstance(file, CondaFile):
        right = file.subdir in ("noarch", lock.platform)
        return other_python(file.depends, lock) if right else f"is for {file.subdir}"
    locked = next((package for package in lock.packages if package.key == "python"), None)
    if locked is None:
        return "requires Python, but the environment has none"
    try:
        check_fit(file.wheel, Python.of({"version": locked.version, "build": locked.build}, lock.platform))
    except PrefixError as error:
        return error.message
    return ""


def _is_same(package: LockedPackage, file: LocalFile) -> bool:
    """Whether a locked package is what ``file`` is another build of.

    A conda package that is no Python's has nothing to do with a wheel, whatever the two are called.
    """
    if package.manager != "conda":
        return name_at_conda(package.name) == file.name
    named = package.name.replace("_", "-").replace(".", "-") == file.name
    return named and (isinstance(file, CondaFile) or any(spec.split()[0] == "python" for spec in package.depends))


def _package(one: _Chosen, platform: str) -> LockedPackage:
    """What the lock would say of the file; nothing of where it lies on this machine."""
    file = one.file
    replaces = tuple(f"{old.key} {old.version}" for old in one.replaced)
    if isinstance(file, WheelFile):
        name, version, filename = file.wheel.name, str(file.wheel.version), file.path.name
        manager, place, depends = (
            "pip",
            "wheels",
            tuple(sorted(str(requirement) for requirement in file.wheel.requires)),
        )
    else:
        name, version, filename = file.package, file.version, file.filename
        manager, place, depends = "conda", file.subdir, tuple(sorted(file.depends))
    return LockedPackage(
        name=name,
        version=version,
        manager=manager,
        platform=platform,
        url=f"{LOCAL}/{place}/{filename}",
        sha256=keep(file.path, filename),
        md5=None,
        depends=depends,
        injected=True,
        replaces=replaces,
    )

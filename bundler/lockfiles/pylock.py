"""pylock.toml (PEP 751): wheels for several Pythons and platforms, in a list without a graph.

Which of them are wanted, each one's marker says. Markers may ask for extras and dependency groups of the project; here
a category of bundle.toml is either. Where a package was looked for (`index`) and who has attested it
(`attestation-identities`) decide nothing here: what is installed is what has the SHA-256.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from bundler.config.lockfiles import PYLOCK
from bundler.errors import ConfigError, LockError, without_credentials
from bundler.lockfiles.checked import BadEntry, refuse
from bundler.lockfiles.target import File, load_toml, remedy_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from bundler.locked import LockedPackage
    from bundler.lockfiles.target import Target

__all__ = ["pylock_categories", "read_pylock"]


def pylock_categories(path: Path) -> tuple[str, ...]:
    """The extras and dependency groups that it was locked with, but those that are always there."""
    document = _load(path)
    names = [*_names(document, "extras"), *_names(document, "dependency-groups")]
    return tuple(dict.fromkeys(name for name in names if name not in _names(document, "default-groups")))


def read_pylock(path: Path, target: Target, categories: Collection[str]) -> tuple[LockedPackage, ...]:
    """The wheels for ``target``. Raises :class:`ConfigError` if it is not for that, :class:`LockError` for the rest."""
    document = _load(path)
    target.check_python(document.get("requires-python"), path, PYLOCK)
    packages: dict[str, LockedPackage] = {}
    problems: list[BadEntry] = []
    groups = (*categories, *_names(document, "default-groups"))
    try:
        _check_environments(document, target, path)
    except BadEntry as bad:
        raise LockError(f"`environments`: {bad}", where=str(path), remedy=PYLOCK.remedy) from bad
    for entry in document["packages"]:
        try:
            if not target.wants(entry.get("marker"), extras=categories, groups=groups):
                continue
            package = _package(entry, target)
            if package and packages.setdefault(package.name, package) is not package:
                raise BadEntry(f"{package.name}: is listed twice for {target.python}")
        except BadEntry as bad:
            problems.append(bad)
        except (AttributeError, KeyError, TypeError) as error:
            name = entry.get("name", "?") if isinstance(entry, dict) else "?"
            problems.append(BadEntry(f"{name}: its entry is damaged: {error}"))
    refuse(map(str, problems), where=str(path), remedy=remedy_for(problems, PYLOCK))
    return tuple(packages[name] for name in sorted(packages))


def _load(path: Path) -> Mapping[str, Any]:
    document = load_toml(path, PYLOCK)
    version = document.get("lock-version")
    if not isinstance(version, str) or not isinstance(document.get("packages"), list):
        raise LockError(
            "not a pylock.toml: it has no `lock-version` and list `packages`", where=str(path), remedy=PYLOCK.remedy
        )
    if version.split(".")[0] != "1":  # PEP 751: a later minor version can be read
        raise LockError(
            f"a pylock.toml of version {version}; this conda-bundler reads version 1",
            where=str(path),
            remedy=PYLOCK.remedy,
        )
    return document


def _check_environments(document: Mapping[str, Any], target: Target, path: Path) -> None:
    markers = document.get("environments") or ()
    if markers and not any(target.wants(marker) for marker in markers):
        raise ConfigError(
            f"was locked for environments other than {target.python}: {'; '.join(map(str, markers))}",
            where=str(path),
            remedy="Lock it for this one as well.",
        )


def _names(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(canonicalize_name(str(name))) for name in document.get(key) or ())


def _package(entry: Mapping[str, Any], target: Target) -> LockedPackage | None:
    """None for one that is injected."""
    name = str(canonicalize_name(str(entry["name"])))
    version = str(entry.get("version") or "")
    _check_python(entry, name, target)
    if "vcs" in entry:
        place = entry["vcs"].get("url") or entry["vcs"].get("path")
        return target.lacks(name, f"comes from a source repository ({without_credentials(str(place))})")
    if "directory" in entry:
        return target.lacks(name, f"is a local directory ({entry['directory'].get('path')})")
    return target.choose(name, version, _files(entry, name, target), _depends(entry))


def _check_python(entry: Mapping[str, Any], name: str, target: Target) -> None:
    """PEP 751: what is for another Python is not passed over but refused."""
    asked = entry.get("requires-python")
    try:
        if not target.takes_python(asked):
            raise BadEntry(f"{name} requires Python {asked}; the conda packages provide {target.python}")
    except ValueError as error:
        raise BadEntry(f"{name}: its `requires-python` is wrong: {error}") from error


def _files(entry: Mapping[str, Any], name: str, target: Target) -> Iterator[File]:
    """Its wheels. An ``archive`` may be one, or source."""
    archive = entry.get("archive")
    for wheel in [*(entry.get("wheels") or ()), *([archive] if archive else ())]:
        if "url" not in wheel:
            target.lacks(name, f"is a local file ({wheel.get('path')})")
            continue
        file = File(url=str(wheel["url"]), sha256=(wheel.get("hashes") or {}).get("sha256"))
        if wheel is not archive or file.name.endswith(".whl"):
            yield file


def _depends(entry: Mapping[str, Any]) -> Iterator[str]:
    return (str(one["name"]) for one in entry.get("dependencies") or ())

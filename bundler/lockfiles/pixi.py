"""pixi.lock, versions 6 and 7: several environments, each for several platforms.

An environment lists URLs; what there is to say of each stands once, below ``packages``. Since version 7 a platform may
have a name of its own and says which subdir it is. The format is rattler_lock's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import yaml
from packaging.utils import canonicalize_name

from bundler.config.lockfiles import DEFAULT, PIXI
from bundler.errors import ConfigError, LockError, without_credentials
from bundler.locked import LockedPackage, dist_of
from bundler.lockfiles.checked import BadEntry, checked, refuse
from bundler.plainyaml import load_yaml12
from bundler.wheels.requirements import BUILD_IT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PixiLock", "pixi_platforms", "read_pixi"]

_VERSIONS = (6, 7)
_SOURCES = ("conda_source", "source")
"""What version 7 calls a conda package that pixi builds; with its name, a digest and where it lies."""


class PixiLock:
    """The parsed file: one of its environments."""

    def __init__(self, path: Path, environment: str | None) -> None:
        self.path = path
        self.environment = environment or DEFAULT
        self.document = _load(path)
        found = self.document["environments"].get(self.environment)
        if not isinstance(found, dict):
            names = ", ".join(sorted(map(str, self.document["environments"]))) or "none at all"
            raise ConfigError(
                f"no environment {self.environment!r}; available: {names}",
                where=str(path),
                remedy='Set one of them in bundle.toml: lockfile_environment = "…" (bundle.lockfile_environment).',
            )
        self._lists = _dict(found.get("packages") or {}, "its environment's packages", path)
        subdirs = {}
        for entry in _list(self.document.get("platforms") or [], "`platforms`", path):
            platform = _dict(entry, "an entry of `platforms`", path)
            subdirs[str(platform.get("name"))] = str(platform.get("subdir") or platform.get("name"))
        self._platforms: dict[str, list[str]] = {}
        for name in map(str, self._lists):
            self._platforms.setdefault(subdirs.get(name, name), []).append(name)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The subdirs that the environment is locked for."""
        return tuple(self._platforms)

    def entries(self, platform: str) -> list[Mapping[str, Any]]:
        """What the environment has on ``platform``: each entry of ``packages`` that it lists."""
        names = self._platforms.get(platform, [])
        if len(names) > 1 and platform not in names:
            raise ConfigError(
                f"has several platforms for {platform}: {', '.join(names)}; a bundle supports only one of them",
                where=str(self.path),
                remedy="Keep one of these platforms in pixi's manifest, and lock again: pixi lock",
            )
        name = platform if platform in names else names[0]
        known: dict[tuple[str, str], Mapping[str, Any]] = {}
        for entry in _list(self.document.get("packages") or [], "`packages`", self.path):
            reference = _reference(entry, self.path)
            if known.setdefault(reference, entry) != entry:
                raise LockError(f"contradicts itself about {reference[1]!r}", where=str(self.path), remedy=PIXI.remedy)
        found = []
        for reference in _list(self._lists[name], f"the packages of {name}", self.path):
            key = _reference(reference, self.path)
            if key not in known:
                raise LockError(
                    f"has no entry for {key[1]!r}, which it lists", where=str(self.path), remedy=PIXI.remedy
                )
            found.append(known[key])
        return found


def pixi_platforms(path: Path, environment: str | None) -> tuple[str, ...]:
    """The platforms that an environment is locked for."""
    return PixiLock(path, environment).platforms


def read_pixi(
    path: Path, environment: str | None, platform: str, injected: frozenset[str]
) -> tuple[LockedPackage, ...]:
    """The packages of ``environment``, but those of ``injected`` that it cannot say where to get.

    Raises :class:`LockError` for all that cannot be taken.
    """
    packages, problems = dict[tuple[str, str], LockedPackage](), list[str]()
    for entry in PixiLock(path, environment).entries(platform):
        try:
            package = _conda(entry, platform) if "conda" in entry else _wheel(entry, platform, injected)
        except BadEntry as bad:
            problems.append(str(bad))
            continue
        if package is None:
            continue
        first = packages.setdefault((package.name, package.manager), package)
        if first.url != package.url:
            problems.append(f"{package.name}: is listed twice, as {first.filename} and as {package.filename}")
    refuse(
        problems,
        where=str(path),
        remedy=f"Use released packages with sha256 checksums and lock again (pixi lock); for a project that has only "
        f"source, {BUILD_IT}.",
    )
    return tuple(packages[key] for key in sorted(packages))


def _load(path: Path) -> dict[str, Any]:
    try:
        document = load_yaml12(path.read_bytes(), once=True)
    except (yaml.YAMLError, ValueError) as damaged:
        reason = " ".join(str(damaged).split())
        raise LockError(f"not YAML: {reason}", where=str(path), remedy=PIXI.remedy) from damaged
    if not isinstance(document, dict) or not isinstance(document.get("version"), int):
        raise LockError("not a pixi.lock: it has no `version`", where=str(path), remedy=PIXI.remedy)
    if document["version"] not in _VERSIONS:
        raise LockError(
            f"a pixi.lock of version {document['version']}; this conda-bundler reads versions 6 and 7",
            where=str(path),
            remedy="Lock again with a current pixi: pixi lock"
            if document["version"] < _VERSIONS[0]
            else "Update conda-bundler, or write it with an older pixi.",
        )
    _dict(document.get("environments"), "`environments`", path)
    return document


def _dict(value: Any, what: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LockError(f"not a pixi.lock: {what} is not a table", where=str(path), remedy=PIXI.remedy)
    return value


def _list(value: Any, what: str, path: Path) -> list[Any]:
    if not isinstance(value, list):
        raise LockError(f"not a pixi.lock: {what} is not a list", where=str(path), remedy=PIXI.remedy)
    return value


def _reference(entry: Any, path: Path) -> tuple[str, str]:
    """Kind and place: ``conda``, ``pypi`` or one of ``_SOURCES``, and a URL or a path."""
    for kind in ("conda", "pypi", *_SOURCES):
        if isinstance(entry, dict) and isinstance(entry.get(kind), str):
            return kind, entry[kind]
    raise LockError(f"an entry is neither conda nor pypi: {entry!r}", where=str(path), remedy=PIXI.remedy)


def _check_texts(entry: Mapping[str, Any], place: str) -> None:
    """Without quotes YAML reads the version 1.10 as the number 1.1."""
    for key in ("name", "version", "sha256", "md5"):
        if not isinstance(entry.get(key), str | None):
            raise BadEntry(f"{without_credentials(place)}: `{key}` is {entry[key]!r}, not a string")
    for key in ("depends", "requires_dist"):
        listed = entry.get(key) or ()
        if strange := [one for one in listed if not isinstance(one, str)] if isinstance(listed, list) else []:
            raise BadEntry(f"{without_credentials(place)}: `{key}` has {strange[0]!r}, not a string")


def _conda(entry: Mapping[str, Any], platform: str) -> LockedPackage:
    url = entry["conda"]
    _check_texts(entry, url)
    if "://" not in url:
        raise BadEntry(f"{url}: is built from source by pixi, and is not a package yet")
    parts = dist_of(unquote(url.rsplit("/", 1)[-1])).rsplit("-", 2)
    if len(parts) != 3:
        raise BadEntry(f"{without_credentials(url)!r} is not the URL of a conda package")
    depends = entry.get("depends") or ()
    return checked(
        LockedPackage(
            name=str(entry.get("name") or parts[0]),
            version=str(entry.get("version") or parts[1]),
            manager="conda",
            platform=platform,
            url=url,
            sha256=_text(entry.get("sha256")),
            md5=_text(entry.get("md5")),
            depends=tuple(sorted(map(str, depends))) if isinstance(depends, list) else (),
        ),
        unhashed="it has only an MD5, which can be forged, and its channel has no sha256" if entry.get("md5") else "",
    )


def _wheel(entry: Mapping[str, Any], platform: str, injected: frozenset[str]) -> LockedPackage | None:
    """None if what has the name is injected."""
    if built := next((entry[kind] for kind in _SOURCES if kind in entry), None):
        raise BadEntry(f"{built}: is built from source by pixi, and is not a package yet")
    url = entry["pypi"]
    _check_texts(entry, url)
    name = str(canonicalize_name(str(entry.get("name") or url)))
    if source := _source(url):
        if name in injected:
            return None
        raise BadEntry(f"{name}: {source} ({without_credentials(url)})")
    requires = entry.get("requires_dist") or ()
    return checked(
        LockedPackage(
            name=name,
            version=str(entry.get("version") or ""),
            manager="pip",
            platform=platform,
            url=url.partition("#")[0],
            sha256=_text(entry.get("sha256")),
            md5=_text(entry.get("md5")),
            depends=tuple(sorted(map(str, requires))) if isinstance(requires, list) else (),
        )
    )


def _source(url: str) -> str:
    """Why there is no wheel at ``url``; empty if there is one."""
    if url.startswith(("git+", "direct+git+")):
        return "comes from a source repository"
    if "://" not in url:
        return "is a local file or directory"
    if not unquote(urlsplit(url).path).endswith(".whl"):
        return "no wheel available, only source"
    return ""


def _text(value: Any) -> str | None:
    return str(value) if value else None

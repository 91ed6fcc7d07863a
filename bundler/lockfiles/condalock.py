"""conda-lock.yml (the unified lockfile, version 1) as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from bundler.errors import ConfigError, LockError
from bundler.locked import TOOLS, Lock, LockedPackage
from bundler.lockfiles.checked import BadEntry, checked, is_category
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "Metadata",
    "custom_metadata",
    "locked_categories",
    "locked_platforms",
    "read_lock",
    "read_metadata",
]

_LOCK_AGAIN = "Lock again: conda-bundler lock"
_TEXTS = ("name", "version", "manager", "platform", "url")
"""Keys of an entry that are texts."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a lockfile says of itself: conda-lock's content ``hashes`` by platform, and what others have added."""

    platforms: tuple[str, ...]
    hashes: Mapping[str, str]
    custom: Mapping[str, Any]


def read_lock(path: Path, platform: str, categories: Collection[str] | None = None, *, tools: bool = False) -> Lock:
    """What ``path`` says for ``platform``: the packages of ``categories``, and of ``main``; all, unless said.

    Those of :data:`TOOLS` are only among them with ``tools``. Raises :class:`ConfigError` if there is no such file or
    it was not made for the platform, :class:`LockError` if it is not a lockfile that we can read.
    """
    document = _load(path)
    platforms = _platforms(document, path)
    if platform not in platforms:
        raise ConfigError(
            f"not locked for {platform}, only for {', '.join(platforms) or 'no platform at all'}",
            where=str(path),
            remedy="Add it to bundle.platforms in bundle.toml and lock again: conda-bundler lock",
        )
    entries = document.get("package")
    if not isinstance(entries, list):
        raise LockError("not a lockfile: it has no list `package`", where=str(path), remedy=_LOCK_AGAIN)
    # conda-lock lists a package once for each category it belongs to
    known = {str(entry.get("category", "main")) for entry in entries if isinstance(entry, dict)} | {"main"}
    known = known if tools else known - {TOOLS}
    wanted = known if categories is None else {"main", *categories}
    if strangers := wanted - known:
        raise ConfigError(
            f"no package is locked in category {', '.join(sorted(strangers))}; locked categories: "
            f"{', '.join(sorted(known))}",
            where=str(path),
            remedy="A category is declared in an environment.yml (`category: dev`); lock again with that file.",
        )
    packages: dict[tuple[str, str], LockedPackage] = {}
    for entry in entries:
        package = _package(entry, path)
        if package.platform == platform and str(entry.get("category", "main")) in wanted:
            first = packages.setdefault((package.name, package.manager), package)
            if (first.url, first.sha256) != (package.url, package.sha256):
                raise LockError(
                    f"has {package.name} twice for {platform}, as {first.filename} and as {package.filename}"
                    + (" with another sha256" if first.url == package.url else ""),
                    where=str(path),
                    remedy="Lock again: conda-bundler lock",
                )
    return Lock(path=path, platform=platform, packages=tuple(packages[key] for key in sorted(packages)))


def locked_platforms(path: Path) -> tuple[str, ...]:
    """The platforms a lockfile was made for. Raises what :func:`read_lock` raises."""
    return _platforms(_load(path), path)


def read_metadata(path: Path) -> Metadata:
    """What a lockfile says of itself; it is read once. Raises what :func:`read_lock` raises."""
    document = _load(path)
    platforms = _platforms(document, path)
    hashes = document["metadata"].get("content_hash")
    return Metadata(
        platforms=platforms,
        hashes={str(name): str(text) for name, text in hashes.items()} if isinstance(hashes, dict) else {},
        custom=custom_metadata(document),
    )


def custom_metadata(document: Any) -> Mapping[str, Any]:
    """What others than conda-lock have added to the metadata of a lockfile, as it was parsed."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    custom = metadata.get("custom_metadata") if isinstance(metadata, dict) else None
    return custom if isinstance(custom, dict) else {}


def locked_categories(path: Path, platform: str) -> dict[str, int]:
    """How many packages each category has on a platform, without our own. Raises what :func:`read_lock` raises."""
    listed = _load(path).get("package")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    found = Counter(str(entry.get("category", "main")) for entry in entries if entry.get("platform") == platform)
    return {category: count for category, count in found.items() if category != TOOLS}


def _load(path: Path) -> dict[str, Any]:
    try:
        document = load_yaml(path.read_bytes(), once=True)
    except FileNotFoundError as missing:
        raise ConfigError("no such lockfile", where=str(path), remedy=_LOCK_AGAIN) from missing
    except OSError as failed:
        raise ConfigError(f"cannot be read: {failed.strerror}", where=str(path)) from failed
    except (yaml.YAMLError, ValueError) as damaged:
        reason = " ".join(str(damaged).split())
        raise LockError(f"not YAML: {reason}", where=str(path), remedy=_LOCK_AGAIN) from damaged
    if not isinstance(document, dict) or "version" not in document:
        raise LockError("not a conda-lock lockfile", where=str(path), remedy=_LOCK_AGAIN)
    if document["version"] != 1:
        raise LockError(
            f"a lockfile of version {document['version']!r}; this conda-bundler reads version 1",
            where=str(path),
            remedy=_LOCK_AGAIN,
        )
    entries = document.get("package")
    if isinstance(entries, list) and any(isinstance(one, dict) and "optional" not in one for one in entries):
        raise LockError(
            "written by conda-lock before 1.0, which did not record optional packages",
            where=str(path),
            remedy="Lock again: conda-bundler lock",
        )
    return document


def _platforms(document: dict[str, Any], path: Path) -> tuple[str, ...]:
    metadata = document.get("metadata")
    platforms = metadata.get("platforms") if isinstance(metadata, dict) else None
    if not isinstance(platforms, list):
        raise LockError("not a lockfile: it has no `metadata.platforms`", where=str(path), remedy=_LOCK_AGAIN)
    return tuple(str(platform) for platform in platforms)


def _package(entry: Any, path: Path) -> LockedPackage:
    name = entry.get("name", "?") if isinstance(entry, dict) else "?"
    if wrong := next(_damages(entry), None) if isinstance(entry, dict) else f"it is {entry!r}":
        raise LockError(f"its entry for package {name} is invalid: {wrong}", where=str(path), remedy=_LOCK_AGAIN)
    hashes, depends = entry["hash"], entry.get("dependencies") or {}
    package = LockedPackage(
        name=entry["name"],
        version=entry["version"],
        manager=entry["manager"],
        platform=entry["platform"],
        url=entry["url"],
        sha256=hashes.get("sha256") or None,
        md5=hashes.get("md5") or None,
        depends=tuple(
            f"{name} {spec}".strip() for name, spec in sorted(depends.items(), key=lambda pair: str(pair[0]))
        ),
    )
    try:
        return checked(package, as_locked=True)
    except BadEntry as bad:
        raise LockError(f"its entry for package {bad}", where=str(path), remedy=_LOCK_AGAIN) from bad


def _damages(entry: dict[str, Any]) -> Iterator[str]:
    """What is missing in an entry, or of a wrong type: without quotes YAML reads the version 1.10 as the number 1.1,
    and the name `on` as true.
    """
    for key in (*_TEXTS, "hash"):
        if key not in entry:
            yield f"it has no `{key}`"
        elif key in _TEXTS and not isinstance(entry[key], str):
            yield f"`{key}` is {entry[key]!r}, not a string"
    if entry.get("manager") not in ("conda", "pip"):
        yield f"`manager` is {entry.get('manager')!r}, neither conda nor pip"
    hashes = entry.get("hash")
    if not isinstance(hashes, dict):
        yield f"`hash` is {hashes!r}, not a table"
        return
    for key in ("sha256", "md5"):
        if not isinstance(hashes.get(key), (str, type(None))):
            yield f"`{key}` is {hashes[key]!r}, not a string"
    if not isinstance(entry.get("category", "main"), str):
        yield f"`category` is {entry['category']!r}, not a string"
    elif not is_category(entry.get("category", "main")):
        yield f"`category` is {entry['category']!r}, not a name"
    yield from _dependency_damages(entry.get("dependencies") or {})


def _dependency_damages(dependencies: Any) -> Iterator[str]:
    if not isinstance(dependencies, dict):
        yield f"`dependencies` is {dependencies!r}, not a table"
        return
    for name, spec in dependencies.items():
        if not isinstance(name, str) or not isinstance(spec, str):
            yield f"`dependencies` has {name!r}: {spec!r}, which are not strings"

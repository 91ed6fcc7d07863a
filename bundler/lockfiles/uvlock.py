"""uv.lock: one graph for all Pythons and platforms.

From the project, which is where the file lies, it is followed along the dependencies whose markers hold on the target.
The project itself is no part of the environment: its code comes by ``[files]``, or as a wheel by ``inject``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from bundler.config.lockfiles import UV
from bundler.errors import ConfigError, LockError, without_credentials
from bundler.lockfiles.checked import BadEntry, refuse
from bundler.lockfiles.target import File, load_toml, remedy_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from bundler.locked import LockedPackage
    from bundler.lockfiles.target import Target

__all__ = ["load_uv", "read_uv", "root_of", "uv_categories"]

_LOCAL = ("editable", "virtual", "directory")
_EXPORT = "uv export --format pylock.toml --output-file pylock.toml"


def uv_categories(path: Path) -> tuple[str, ...]:
    """The extras and dependency groups of the project."""
    root = root_of(load_uv(path), path)
    return tuple(dict.fromkeys((*root.get("optional-dependencies", ()), *root.get("dev-dependencies", ()))))


def read_uv(path: Path, target: Target, categories: Collection[str]) -> tuple[LockedPackage, ...]:
    """The wheels for ``target``. Raises :class:`ConfigError` if it is not for that, :class:`LockError` for the rest."""
    document = load_uv(path)
    target.check_python(document.get("requires-python"), path, UV)
    root = root_of(document, path)
    try:
        walk = _Walk(document["package"], target)
        walk.follow(root, frozenset(categories), groups=categories)
    except (AttributeError, KeyError, TypeError) as error:
        raise LockError(f"an entry is damaged: {error!r}", where=str(path), remedy=UV.remedy) from error
    refuse(map(str, walk.problems), where=str(path), remedy=remedy_for(walk.problems, UV))
    return tuple(walk.packages[name] for name in sorted(walk.packages))


def load_uv(path: Path) -> Mapping[str, Any]:
    """The parsed file. Raises what :func:`~bundler.lockfiles.target.load_toml` raises."""
    document = load_toml(path, UV)
    if not isinstance(document.get("version"), int) or not isinstance(document.get("package", []), list):
        raise LockError("not a uv.lock: it has no `version` and `package`", where=str(path), remedy=UV.remedy)
    if document["version"] != 1:
        raise LockError(
            f"a uv.lock of version {document['version']}; this conda-bundler reads version 1",
            where=str(path),
            remedy=f"Export it to a stable format: {_EXPORT}",
        )
    if document.get("conflicts"):
        raise ConfigError(
            "has extras or groups that are mutually exclusive (tool.uv.conflicts), which only uv can resolve",
            where=str(path),
            remedy=f"Let uv resolve them, and use its pylock.toml: {_EXPORT} --extra …",
        )
    return document


def root_of(document: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The entry of the project that the file lies beside."""
    for entry in document.get("package", ()):
        source = entry.get("source") if isinstance(entry, dict) else None
        if isinstance(source, dict) and "." in (source.get(kind) for kind in _LOCAL):
            found: Mapping[str, Any] = entry
            return found
    members = _members(document)
    raise ConfigError(
        f"belongs to a workspace without a root project; its members are {', '.join(members)}"
        if members
        else "has no project next to it: it belongs to a script, or was moved",
        where=str(path),
        remedy=f"Let uv export one member, and use its pylock.toml: {_EXPORT} --package {members[0]}"
        if members
        else f"Let uv export a pylock.toml, and use that: {_EXPORT}",
    )


def _members(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The projects of a workspace."""
    manifest = document.get("manifest")
    members = manifest.get("members") if isinstance(manifest, dict) else None
    return tuple(map(str, members)) if isinstance(members, list) else ()


@dataclass
class _Walk:
    """What is reached: ``packages`` by their names, and what is wrong with others."""

    entries: list[Mapping[str, Any]]
    target: Target
    packages: dict[str, LockedPackage] = field(default_factory=dict)
    problems: list[BadEntry] = field(default_factory=list)
    _seen: set[tuple[int, frozenset[str]]] = field(default_factory=set)

    def follow(self, start: Mapping[str, Any], extras: frozenset[str], *, groups: Iterable[str] = ()) -> None:
        """Reach all that ``start`` depends on, with its ``extras`` and, if it is the project, ``groups``."""
        root = start
        pending = [(start, extras)]
        while pending:
            entry, extras = pending.pop()
            if (id(entry), extras) in self._seen:
                continue
            self._seen.add((id(entry), extras))
            if entry is not root:
                self._take(entry)
            wanted = [*entry.get("dependencies", ())]
            for extra in extras:
                wanted += entry.get("optional-dependencies", {}).get(extra, ())
            for group in groups if entry is root else ():
                wanted += entry.get("dev-dependencies", {}).get(group, ())
            pending += list(self._reached(wanted))

    def _reached(self, wanted: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], frozenset[str]]]:
        for dependency in wanted:
            try:
                if self.target.wants(dependency.get("marker")):
                    yield self._find(dependency), frozenset(dependency.get("extra", ()))
            except BadEntry as bad:
                self.problems.append(BadEntry(f"{dependency['name']}: {bad}"))

    def _find(self, dependency: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entry that is meant: of several versions of a name uv says which."""
        found = [
            entry
            for entry in self.entries
            if entry["name"] == dependency["name"]
            and all(entry.get(key) == dependency[key] for key in ("version", "source") if key in dependency)
        ]
        if len(found) > 1:
            found = [entry for entry in found if self._holds(entry.get("resolution-markers", ()))]
        if len(found) != 1:
            raise BadEntry(
                "it is not locked" if not found else "several versions of it are locked, all for this target"
            )
        return found[0]

    def _holds(self, markers: Collection[str]) -> bool:
        return not markers or any(self.target.wants(marker) for marker in markers)

    def _take(self, entry: Mapping[str, Any]) -> None:
        try:
            package = _package(entry, self.target)
            if package and self.packages.setdefault(package.name, package).version != package.version:
                raise BadEntry(f"{package.name}: two versions of it are required for {self.target.python}")
        except BadEntry as bad:
            self.problems.append(bad)


def _package(entry: Mapping[str, Any], target: Target) -> LockedPackage | None:
    """None for one that is injected."""
    name, source = str(canonicalize_name(str(entry["name"]))), entry["source"]
    if "git" in source:
        return target.lacks(name, f"comes from a source repository ({without_credentials(str(source['git']))})")
    if local := [str(source[kind]) for kind in (*_LOCAL, "path") if kind in source]:
        return target.lacks(name, f"is a local file or directory ({local[0]})")
    depends = (str(one["name"]) for one in entry.get("dependencies", ()))
    return target.choose(name, str(entry.get("version", "")), _files(entry, name, target), depends)


def _files(entry: Mapping[str, Any], name: str, target: Target) -> Iterator[File]:
    for wheel in entry.get("wheels", ()):
        url = wheel.get("url") or (entry["source"].get("url") if "filename" not in wheel else None)
        if not url:
            target.lacks(name, f"is a local file ({wheel.get('path') or wheel.get('filename')})")
            continue
        algorithm, _, digest = str(wheel.get("hash", "")).partition(":")
        yield File(url=str(url), sha256=digest if algorithm == "sha256" else None)

"""Compare a uv.lock with pyproject.toml: uv records in the lockfile the requirements that it was locked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bundler.lock.freshness.unknown import Unknown, read_manifest
from bundler.lockfiles.uvlock import load_uv, root_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["uv_misfit"]

_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_PLACES = ("git", "url", "path", "directory", "editable", "virtual")


class _Wish(NamedTuple):
    """A requirement without its marker, which uv rewrites. ``of`` is an extra or group, or empty."""

    of: str
    name: str
    extras: frozenset[str]
    versions: SpecifierSet

    def __str__(self) -> str:
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        return f"{self.name}{extras}{self.versions}" + (f" ({self.of})" if self.of else "")


def uv_misfit(path: Path) -> str:
    """Why the uv.lock at ``path`` is out of date; empty if it is not. Raises :class:`Unknown` if that is unknown."""
    manifest = read_manifest(path.with_name("pyproject.toml"))
    project = manifest.get("project") or {}
    if {"dependencies", "optional-dependencies"} & set(project.get("dynamic") or ()):
        raise Unknown("pyproject.toml declares its dependencies as dynamic (project.dynamic)")
    root = root_of(load_uv(path), path)
    try:
        elsewhere = frozenset(str(canonicalize_name(name)) for name in _table(manifest, "tool", "uv", "sources"))
        asked = frozenset(_plain(wish, elsewhere) for wish in _asked(manifest, project))
        locked = frozenset(_plain(wish, elsewhere) for wish in _locked(root.get("metadata") or {}))
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise Unknown(f"cannot read the dependencies of pyproject.toml ({error})") from error
    return _difference(asked, locked)


def _difference(asked: Collection[_Wish], locked: Collection[_Wish]) -> str:
    new = sorted(str(wish) for wish in asked if wish not in locked)
    old = sorted(str(wish) for wish in locked if wish not in asked)
    told = [f"pyproject.toml requires {', '.join(new)}"] if new else []
    return "; ".join([*told, *([f"it was locked for {', '.join(old)}"] if old else [])])


def _plain(wish: _Wish, elsewhere: frozenset[str]) -> _Wish:
    """The requirement without a version, if it has its own source."""
    return wish._replace(versions=SpecifierSet()) if wish.name in elsewhere else wish


def _asked(manifest: Mapping[str, Any], project: Mapping[str, Any]) -> Iterator[_Wish]:
    yield from _wishes("", project.get("dependencies") or ())
    for extra, texts in (project.get("optional-dependencies") or {}).items():
        yield from _wishes(str(canonicalize_name(extra)), texts)
    groups = dict(manifest.get("dependency-groups") or {})
    for group in groups:
        yield from _wishes(str(canonicalize_name(group)), _group(groups, group, ()))
    yield from _wishes("dev", _table(manifest, "tool", "uv").get("dev-dependencies") or ())


def _wishes(of: str, texts: Iterable[str]) -> Iterator[_Wish]:
    for text in texts:
        wanted = Requirement(text)
        versions = SpecifierSet() if wanted.url else wanted.specifier
        extra = _EXTRA.search(str(wanted.marker or ""))
        yield _Wish(
            of or (str(canonicalize_name(extra[1])) if extra else ""),
            str(canonicalize_name(wanted.name)),
            _extras(wanted.extras),
            versions,
        )


def _group(groups: Mapping[str, Any], name: str, seen: tuple[str, ...]) -> Iterator[str]:
    """A dependency group's requirements (PEP 735), with those of the groups that it includes."""
    known = {str(canonicalize_name(key)): value for key, value in groups.items()}
    if (name := str(canonicalize_name(name))) in seen:
        raise Unknown(f"the dependency group {name} includes itself")
    for entry in known[name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from _group(groups, entry["include-group"], (*seen, name))


def _locked(metadata: Mapping[str, Any]) -> Iterator[_Wish]:
    for entry in metadata.get("requires-dist") or ():
        extra = _EXTRA.search(entry.get("marker") or "")
        yield _entry(str(canonicalize_name(extra[1])) if extra else "", entry)
    for group, entries in (metadata.get("requires-dev") or {}).items():
        for entry in entries:
            yield _entry(str(canonicalize_name(group)), entry)


def _entry(of: str, entry: Mapping[str, Any]) -> _Wish:
    versions = "" if any(place in entry for place in _PLACES) else entry.get("specifier") or ""
    return _Wish(of, str(canonicalize_name(entry["name"])), _extras(entry.get("extras") or ()), SpecifierSet(versions))


def _extras(names: Iterable[str]) -> frozenset[str]:
    return frozenset(str(canonicalize_name(name)) for name in names)


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        document = document.get(key) or {}
    return document

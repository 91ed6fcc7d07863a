"""Read a dump of OSV's database: advisories by the PyPI project that they affect.

The format is OSV's (ossf.github.io/osv-schema), version 1: a directory of JSON files, or zip files of them, as OSV
publishes them (``PyPI/all.zip``). An unreadable entry is an error, since it might affect us.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from packaging.utils import canonicalize_name

from bundler.audit.severity import Severity, severity_of
from bundler.errors import ConfigError
from bundler.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["ECOSYSTEM", "Advisory", "Affected", "BadAdvisory", "Database", "parse_advisory", "read_database"]

ECOSYSTEM = "PyPI"
_LARGEST = 64 << 20
"""The maximum size of an entry in bytes: a few kilobytes of a zip file can unpack to more than fits into memory."""
_MOST = 2 << 30
"""The maximum size of all entries in bytes: ten times what OSV has for PyPI."""
_REMEDY = "Fetch the dump again: https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
_COMPARED = ("ECOSYSTEM", "SEMVER")


class BadAdvisory(ValueError):  # noqa: N818 -- never shown: the caller adds the file's name
    """Not an OSV entry in a format that we support."""


@dataclass(frozen=True, kw_only=True)
class Affected:
    """The affected versions of a project: a list, and ranges of events, each a kind and a version.

    ``others`` are types of ranges that do not contain versions, such as GIT.
    """

    project: str
    versions: tuple[str, ...]
    ranges: tuple[tuple[tuple[str, str], ...], ...]
    others: tuple[str, ...]
    severity: Severity


@dataclass(frozen=True, kw_only=True)
class Advisory:
    """One entry; ``names`` are its identifier and its aliases."""

    id: str
    names: frozenset[str]
    summary: str
    modified: str
    severity: Severity
    affected: tuple[Affected, ...]


@dataclass(frozen=True, kw_only=True)
class Database:
    """``newest`` is when an entry was last modified; ``withdrawn`` counts the withdrawn entries."""

    path: str
    advisories: int
    withdrawn: int
    newest: str
    by_project: Mapping[str, tuple[tuple[Advisory, Affected], ...]]


def read_database(path: Path, now: datetime) -> Database:
    """Raises :class:`ConfigError` if it is not such a dump, or has an unreadable entry."""
    found: dict[str, list[tuple[Advisory, Affected]]] = {}
    seen: set[str] = set()
    withdrawn, left = 0, _MOST
    for where, content in _files(path):
        left -= len(content)
        if left < 0:
            _refuse(f"its entries unpack to more than {_MOST >> 20} MiB", str(path))
        try:
            document = _document(content)
            advisory = None if _is_withdrawn(document, now) else parse_advisory(document)
        except BadAdvisory as error:
            _refuse(f"an entry cannot be read: {error}", where)
        if advisory is None:
            withdrawn += 1
        elif advisory.affected:
            seen.add(advisory.id)
            for affected in advisory.affected:
                found.setdefault(affected.project, []).append((advisory, affected))
    if not seen:
        _refuse(f"it has no advisory for {ECOSYSTEM}", str(path))
    newest = max(advisory.modified for ones in found.values() for advisory, _ in ones)
    by_project = {project: tuple(ones) for project, ones in found.items()}
    return Database(path=path.name, advisories=len(seen), withdrawn=withdrawn, newest=newest, by_project=by_project)


def parse_advisory(document: dict[str, Any]) -> Advisory:
    """Raises :class:`BadAdvisory`."""
    version = str(document.get("schema_version", "1.0.0"))
    if version.partition(".")[0] != "1":
        raise BadAdvisory(f"schema_version {version}; this conda-bundler supports version 1")
    name, specific = _text(document, "id"), document.get("database_specific")
    affected = tuple(one for entry in _objects(document, "affected") if (one := _affected(entry)) is not None)
    said = specific.get("severity") if isinstance(specific, dict) else None
    return Advisory(
        id=name,
        names=frozenset((name, *_texts(document, "aliases"))),
        summary=" ".join(str(document.get("summary") or document.get("details") or "").split())[:200],
        modified=str(document.get("modified", "")),
        severity=severity_of(_objects(document, "severity"), said),
        affected=affected,
    )


def _affected(entry: dict[str, Any]) -> Affected | None:
    package = entry.get("package")
    if package is None:
        return None  # allowed: it lists only commits
    if not isinstance(package, dict):
        raise BadAdvisory("affected.package is not an object")
    ecosystem = _text(package, "ecosystem")
    if ecosystem.partition(":")[0] != ECOSYSTEM:
        return None
    ranges, others = [], []
    for one in _objects(entry, "ranges"):
        kind = _text(one, "type")
        if kind in _COMPARED:
            ranges.append(tuple(_events(one)))
        else:
            others.append(kind)
    specific = entry.get("ecosystem_specific")
    said = specific.get("severity") if isinstance(specific, dict) else None
    return Affected(
        project=canonicalize_name(_text(package, "name")),
        versions=tuple(_texts(entry, "versions")),
        ranges=tuple(ranges),
        others=tuple(others),
        severity=severity_of(_objects(entry, "severity"), said),
    )


def _events(one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for event in _objects(one, "events"):
        for kind, version in event.items():
            if not isinstance(version, str):
                raise BadAdvisory(f"an event {kind!r} is not a string")
            yield kind, version


def _is_withdrawn(document: dict[str, Any], now: datetime) -> bool:
    """A date in the future does not count yet."""
    said = document.get("withdrawn")
    if said is None:
        return False
    try:
        return datetime.fromisoformat(str(said)[:19].rstrip("Z") + "+00:00") <= now
    except ValueError:
        raise BadAdvisory(f"withdrawn is {said!r}, not a time") from None


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            every = sorted(one for one in path.rglob("*") if one.suffix in (".json", ".zip") and one.is_file())
            for one in every:
                yield from _files(one)
        elif zipfile.is_zipfile(path):
            yield from _zipped(path)
        elif path.stat().st_size <= _LARGEST:
            yield str(path), path.read_bytes()
        else:
            _refuse("neither a directory nor a zip file of OSV entries", str(path))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=str(error.filename or path)) from error


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".json"):
                    continue
                if info.file_size > _LARGEST:
                    _refuse(f"an entry is larger than {_LARGEST >> 20} MiB", f"{path}: {info.filename}")
                yield f"{path}: {info.filename}", archive.read(info)
    # RuntimeError: a member is encrypted; NotImplementedError: its compression method is not supported
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ConfigError(f"a damaged zip file: {error}", where=str(path), remedy=_REMEDY) from error


def _document(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadAdvisory(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadAdvisory("it is not an object")
    return found


def _objects(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = document.get(key)
    found = [] if found is None else found
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadAdvisory(f"{key} is not a list of objects")
    return found


def _texts(document: dict[str, Any], key: str) -> list[str]:
    found = document.get(key)
    found = [] if found is None else found
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BadAdvisory(f"{key} is not a list of strings")
    return found


def _text(document: dict[str, Any], key: str) -> str:
    found = document.get(key)
    if not isinstance(found, str) or not found:
        raise BadAdvisory(f"{key} is missing, or not a string")
    return found


def _refuse(sentence: str, where: str) -> NoReturn:
    raise ConfigError(printable(sentence), where=printable(where), remedy=_REMEDY)

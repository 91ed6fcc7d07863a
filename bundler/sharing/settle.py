"""The linked prefix, made to agree with what was decided: conda packages' files that are not used are set aside.

py-rattler sets the losers' files aside, as ``__clobbers__/<package>/<path>``, but by an order of its own; and it makes
entry points' scripts without looking at what is there, in an order that depends on chance. So packages whose scripts
share a path are linked one after the other, and what each has written is set aside before the next.
"""

from __future__ import annotations

import filecmp
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundler.errors import PrefixError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from bundler.fetch.archives import Archive
    from bundler.sharing.shared import Shared

__all__ = ["rounds", "set_aside", "settle"]

_ASIDE = "__clobbers__"
_BUG = "Use another build of the package, and report this: it is a bug in conda-bundler."


@dataclass(frozen=True)
class _Linked:
    """A conda package in the prefix: what the linker calls it, and its record in ``conda-meta``."""

    name: str
    record: str

    @classmethod
    def of(cls, archive: Archive) -> _Linked:
        index = archive.index()
        name = index.name.lower()
        return cls(name, f"conda-meta/{name}-{index.version}-{index.build}.json")

    def aside(self, path: str) -> str:
        return f"{_ASIDE}/{self.name}/{path}"


def rounds(archives: tuple[Archive, ...], shared: Iterable[Shared]) -> Iterator[tuple[Archive, ...]]:
    """What the linker is to be given at a time, each time with all that came before."""
    paths: dict[str, set[str]] = {}
    for one in shared:
        for key in (one.owner, *one.others):
            paths.setdefault(key, set()).add(one.path)
    is_late = [_has_script(archive, paths.get(archive.package.key, ())) for archive in archives]
    linked = tuple(archive for archive, late in zip(archives, is_late, strict=True) if not late)
    yield linked
    for archive, late in zip(archives, is_late, strict=True):
        if late:
            linked += (archive,)
            yield linked


def _has_script(archive: Archive, paths: Collection[str]) -> bool:
    return bool(paths) and any(f"bin/{command}" in paths for command, _ in archive.index().entry_points)


def set_aside(prefix: Path, archives: Iterable[Archive], shared: Iterable[Shared]) -> None:
    """Set aside all conda packages' files at ``shared`` paths."""
    linked = {archive.package.key: _Linked.of(archive) for archive in archives}
    for one in shared:
        holders = [linked[key] for key in (one.owner, *one.others) if key in linked]
        there = [holder for holder in holders if not os.path.lexists(prefix / holder.aside(one.path))]
        if os.path.lexists(prefix / one.path) and len(there) == 1:
            _move(prefix / one.path, prefix / there[0].aside(one.path))


def settle(prefix: Path, archives: Iterable[Archive], shared: Iterable[Shared]) -> tuple[Shared, ...]:
    """Put the owners' files, all of which are set aside, where they belong, and say so in ``conda-meta``.

    Returns ``shared``, with what was seen of files that only conda packages have. Raises :class:`PrefixError` if the
    linker has done other than was expected.
    """
    shared = tuple(shared)
    linked = {archive.package.key: _Linked.of(archive) for archive in archives}
    found = []
    moved: dict[str, dict[str, str]] = {}
    for one in shared:
        holders = {key: linked[key] for key in (one.owner, *one.others) if key in linked}
        places = [prefix / holder.aside(one.path) for holder in holders.values()]
        _check_there(places, one)
        are_conda = len(holders) == len(one.others) + 1
        is_same = one.same or (are_conda and all(_are_same(places[0], place) for place in places[1:]))
        found.append(replace(one, same=is_same))
        for key, holder in holders.items():
            place = one.path if key == one.owner else holder.aside(one.path)
            moved.setdefault(holder.record, {}).update({one.path: place, holder.aside(one.path): place})
        if one.owner in holders:
            _move(prefix / holders[one.owner].aside(one.path), prefix / one.path)
    for record, places_by_name in moved.items():
        _rewrite(prefix / record, places_by_name)
    _check(prefix, {place for places_by_name in moved.values() for place in places_by_name.values()})
    return tuple(found)


def _check_there(places: Iterable[Path], one: Shared) -> None:
    if not all(map(os.path.lexists, places)):
        names = ", ".join((one.owner, *one.others))
        raise PrefixError(f"the linker did not write every {one.path}", where=names, remedy=_BUG)


def _move(source: Path, goal: Path) -> None:
    goal.parent.mkdir(parents=True, exist_ok=True)
    source.rename(goal)


def _are_same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return filecmp.cmp(one, other, shallow=False)


def _rewrite(record: Path, places: dict[str, str]) -> None:
    """Let a record name its files where they lie."""
    document = json.loads(record.read_bytes())
    document["files"] = [places.get(path, path) for path in document["files"]]
    for entry in document["paths_data"]["paths"]:
        if entry["_path"] in places:
            entry["_path"] = places[entry["_path"]]
            entry.pop("original_path", None)  # whether the linker says it depends on chance
    record.write_text(json.dumps(document), encoding="utf-8")


def _check(prefix: Path, expected: Collection[str]) -> None:
    for path in sorted((prefix / _ASIDE).rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in expected:
            package, _, file = name.removeprefix(f"{_ASIDE}/").partition("/")
            raise PrefixError(
                f"the linker did not use its {file}, and no other package provides it",
                where=package,
                remedy=_BUG,
            )

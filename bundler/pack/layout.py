"""Divide members into segments, in the payload's order, and into parts that the server unpacks in parallel.

Creating the files takes most of the time of unpacking, and a single tar process does it on one processor. A part is a
sequence of segments, and a tar file except for the end marker. It begins with the directories that only it contains,
which the server moves to their final place with one rename; directories of several parts, or of none, are in the first
one. So an ordinary tar, which does not know about parts, still finds each directory before its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.pack.members import parents
from bundler.pack.segments import Segment
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bundler.pack.compiling import BytecodePlan
    from bundler.pack.members import Member
    from bundler.prefix import Prefix

__all__ = ["directory_parts", "divide", "lay_out"]

_MOST = 2
"""The maximum number of parts; more slow down a server with two processors by a tenth, according to `make bench`."""
_LEAST = 32 << 20
"""The minimum cost of a part; smaller ones gain nothing."""
_FILE = 48 << 10
"""Creating a file costs roughly as much as writing this many bytes."""


def lay_out(members: tuple[Member, ...], prefix: Prefix, bytecode: BytecodePlan) -> tuple[Segment, ...]:
    """A segment for each package, then one for the user's files, then one for baked files; each part begins with its
    directories.
    """
    digests = {archive.package.key: archive.package.sha256 for archive in prefix.archives}
    by_package: dict[str, list[Member]] = {}
    app, baked = [], []
    directories = [*parents([member.path for member in members]), *bytecode.directories(members)]
    for member in members:
        if member.is_directory:
            directories.append(member)
        elif member.package is not None:
            by_package.setdefault(member.package, []).append(member)
        elif member.path.startswith("app/"):
            app.append(member)
        else:
            baked.append(member)
    parts = divide({name: _cost(files) for name, files in by_package.items()}, rest=_cost([*app, *baked]))
    segments = []
    for part, inside in zip(parts, _by_part(_unique(directories), parts, by_package, (*app, *baked)), strict=True):
        segments.append(Segment(name="directories", members=inside, begins_part=True))
        for name in part:
            segments.append(_package(name, digests[name], _unique(by_package[name]), bytecode))
    return (
        *segments,
        Segment(name="app/", members=_unique(app), more=bytecode.more(_unique(app)), linkable=True),
        Segment(name="baked", members=_unique(baked)),
    )


def _package(name: str, sha256: str | None, files: tuple[Member, ...], bytecode: BytecodePlan) -> Segment:
    return Segment(
        name=name,
        members=files,
        origin=sha256,
        recipe=bytecode.recipe,
        more=bytecode.more(files),
        checks=cache_dir("checks") / sha256 if sha256 else None,
        linkable=True,
    )


def _by_part(
    directories: tuple[Member, ...],
    parts: tuple[tuple[str, ...], ...],
    by_package: Mapping[str, Iterable[Member]],
    rest: Iterable[Member],
) -> Iterator[tuple[Member, ...]]:
    """Each part's directories. ``rest`` are the members after the last part's packages."""
    files = [(file.path, number) for number, part in enumerate(parts) for name in part for file in by_package[name]]
    files += [(file.path, len(parts) - 1) for file in rest]
    found = directory_parts((directory.path for directory in directories), files)
    for number in range(len(parts)):
        yield tuple(directory for directory in directories if found[directory.path] == number)


def _unique(members: list[Member]) -> tuple[Member, ...]:
    found = {member.path: member for member in members}
    return tuple(found[path] for path in sorted(found))


def _cost(members: Iterable[Member]) -> int:
    """The cost of unpacking ``members``, in bytes written."""
    return sum(member.length + _FILE for member in members)


def divide(costs: Mapping[str, int], rest: int, most: int = _MOST) -> tuple[tuple[str, ...], ...]:
    """Distribute packages by cost to parts of about equal cost, as many as are worth it; sorted in each.

    ``rest`` is the cost of files that belong to no package, which are at the end of the last part.
    """
    parts: tuple[tuple[str, ...], ...] = (tuple(sorted(costs)),)
    for number in range(2, most + 1):
        names: list[list[str]] = [[] for _ in range(number)]
        sums = [0] * (number - 1) + [rest]
        for name in sorted(costs, key=lambda name: (-costs[name], name)):
            least = sums.index(min(sums))
            names[least].append(name)
            sums[least] += costs[name]
        if min(sums) >= _LEAST:
            parts = tuple(tuple(sorted(part)) for part in names)
    return parts


def directory_parts(directories: Iterable[str], files: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The part of each directory. ``files`` are those of all parts, with the part's number.

    A directory without files, such as one in which only bytecode will be created, is in the same part as its parent.
    """
    found: dict[str, int] = {}
    for above, number in {(path.rpartition("/")[0], number) for path, number in files}:
        directory, part = above, number
        while directory and found.get(directory) not in (0, part):
            part = 0 if directory in found else part
            found[directory] = part
            directory = directory.rpartition("/")[0]
    for directory in sorted(set(directories) - found.keys()):
        found[directory] = found.get(directory.rpartition("/")[0], 0)
    return found

"""Decide, before anything is linked, which of several packages' files at the same path is used."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.errors import PrefixError
from bundler.sharing.conda import conda_packages, interpreter_of, link_order
from bundler.sharing.interpreter import trespass
from bundler.sharing.owners import Owner, Owners, mistaken, owners_line, plain
from bundler.sharing.places import Places
from bundler.sharing.shared import Shared, described, name_of
from bundler.systemd.directives import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bundler.fetch.archives import Archive
    from bundler.sharing.conda import CondaFiles
    from bundler.wheels.install import Plan

__all__ = ["decide", "with_owners"]

_SHOWN = 10


def decide(
    archives: Iterable[Archive], wheels: Sequence[Plan], owners: Owners, tell: Callable[[str], None]
) -> tuple[Shared, ...]:
    """The paths that several packages provide, sorted, and the package whose file is used.

    Raises :class:`PrefixError` with all conflicts, or for files in directories reserved for Python,
    :class:`ConfigError` if ``owners`` is wrong.
    """
    packages = conda_packages(archives)
    for package in packages:
        _check_twins(package)
    environment = _Environment(packages, tuple(wheels))
    if environment.trespassers:
        raise trespass(environment.trespassers)
    paths = environment.places.shared()
    for note in _check(owners, paths, environment):
        tell(note)
    if not paths and not any(environment.places.crossed()):
        return ()
    return environment.decide(paths, owners)


def _check_twins(package: CondaFiles) -> None:
    twin = next(package.twins(), None)
    if twin is not None:
        raise PrefixError(
            f"the package has two files that would both be installed as {plain(twin)}",
            where=f"{package.key} ({package.archive.package.filename})",
            remedy="Use another build of it, and report the problem to its maintainers.",
        )


def with_owners(wheels: Iterable[Plan], shared: Iterable[Shared]) -> tuple[Plan, ...]:
    """``wheels``, each without the files for which another package's is used."""
    left_out: dict[str, dict[str, bool]] = {}
    for one in shared:
        for key in one.others:
            left_out.setdefault(key, {})[one.path] = one.same
    return tuple(replace(wheel, left_out=left_out.get(wheel.package.key, {})) for wheel in wheels)


class _Environment:
    """The files of all packages: conda packages first, then wheels, each in the lockfile's order."""

    def __init__(self, conda: tuple[CondaFiles, ...], wheels: tuple[Plan, ...]) -> None:
        self.conda = {package.key: package for package in conda}
        self.wheels = {wheel.package.key: wheel for wheel in wheels}
        self.places = Places()
        self.projects: dict[str, dict[str, str]] = {}
        """Projects with a ``.dist-info`` in site-packages: by the project's name, the packages and their paths."""
        self.trespassers: list[tuple[str, str]] = []
        """Files in directories reserved for Python: the packages and the paths."""
        self._site = f"{conda[0].site_packages if conda else ''}/"
        self._python = interpreter_of(conda)
        for key in self.keys:
            directories: list[str] = []
            self.places.add(key, self._noting(key, directories))
            self.places.add_directories(key, directories)

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.conda, *self.wheels)

    def files(self, key: str) -> Iterator[str]:
        if key in self.wheels:
            yield from self.wheels[key].files
        else:
            yield from (file.path for file in self.conda[key].files())

    def _noting(self, key: str, directories: list[str]) -> Iterator[str]:
        """The package's files; records its projects, trespassers and ``directories`` on the way."""
        is_foreign = self._python is not None and not self._python.owns(key)
        for path, is_directory in self._contents_of(key):
            if is_foreign and self._python is not None and not is_directory and self._python.reserves(path):
                self.trespassers.append((key, path))
            if ".dist-info/" in path and path.startswith(self._site):
                directory = path.removeprefix(self._site).partition("/")[0]
                if directory.endswith(".dist-info"):
                    project = canonicalize_name(directory.partition("-")[0])
                    self.projects.setdefault(project, {}).setdefault(key, f"{self._site}{directory}")
            if is_directory:
                directories.append(path)
            else:
                yield path

    def _contents_of(self, key: str) -> Iterator[tuple[str, bool]]:
        if key in self.wheels:
            return ((path, False) for path in self.wheels[key].files)
        return ((file.path, file.is_directory) for file in self.conda[key].contents())

    def decide(self, paths: Mapping[str, tuple[str, ...]], owners: Owners) -> tuple[Shared, ...]:
        twice = list(self._twice())
        crossed = list(self._crossed())
        twins = [frozenset(holders) for holders, _ in twice]
        content = self._contents(paths)
        order = {key: place for place, key in enumerate(link_order(self.conda.values()))}
        shared, open_ones = [], []
        for path, holders in paths.items():
            usual = self._usual(path, holders, content, order)
            chosen = owners.choose(path, holders)
            wheels = [content[path, key] for key in holders if key in self.wheels]
            if wheels and chosen is None and not _equal([content[path, usual], *wheels]):
                open_ones.append((path, holders, usual))
            owner = chosen or usual
            others = tuple(key for key in holders if key != owner)
            same = _equal([content[path, key] for key in holders])
            shared.append(Shared(path=path, owner=owner, others=others, same=same, chosen=chosen is not None))
        open_ones = [one for one in open_ones if not any(twin <= {*one[1]} for twin in twins)]
        if twice or crossed or open_ones:
            raise _clash([*(line for _, line in twice), *crossed], open_ones, owners)
        return tuple(shared)

    def _usual(
        self, path: str, holders: Sequence[str], content: Mapping[tuple[str, str], str], order: Mapping[str, int]
    ) -> str:
        """The default owner: the conda package that conda links last, or else the first wheel.

        Scripts of entry points are generated after everything else is linked.
        """
        conda = [key for key in holders if key in self.conda]
        return max(conda, key=lambda key: (content[path, key].startswith("script "), order[key]), default=holders[0])

    def _contents(self, paths: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, str], str]:
        """The content key of each package's file at these paths. Only wheels have to be read for it."""
        from bundler.wheels.install import contents

        wanted: dict[str, set[str]] = {}
        for path, holders in paths.items():
            for key in holders:
                wanted.setdefault(key, set()).add(path)
        found: dict[tuple[str, str], str] = defaultdict(str)
        for key, asked in wanted.items():
            if key in self.wheels:
                said = contents(self.wheels[key], asked)
            else:
                said = {file.path: file.content for file in self.conda[key].files() if file.path in asked}
            found |= {(path, key): text for path, text in said.items()}
        return found

    def _twice(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Projects that come from two packages, one of them a wheel, with a message."""
        for holders in self.projects.values():
            if len(holders) > 1 and any(key in self.wheels for key in holders):
                place = next(reversed(holders.values()))
                yield tuple(holders), f"{plain(place)}: {_listed(tuple(holders))} are the same project"

    def _crossed(self) -> Iterator[str]:
        rank = {key: number for number, key in enumerate(self.keys)}
        for path, file, below, directory in self.places.crossed():
            if file == directory:
                yield f"{plain(below)}: {described(file)}: its {plain(path)} is a file or link, and a directory"
                continue
            first, last = sorted((file, directory), key=rank.__getitem__)
            yield (
                f"{plain(path if last == file else below)}: {described(first)} and {described(last)}: "
                f"{plain(path)} is a file in {name_of(file)}, a directory in {name_of(directory)}"
            )


def _equal(contents: Sequence[str]) -> bool:
    return len(set(contents)) == 1 and contents[0] != ""


_Open = tuple[str, tuple[str, ...], str]
"""A path, the packages that provide it, and the proposed owner."""


def _clash(lines: Sequence[str], open_ones: Sequence[_Open], owners: Owners) -> PrefixError:
    listed = [*lines, *(f"{plain(path)}: {_listed(holders)}" for path, holders, _ in open_ones)]
    shown = "".join(f"\n    {line}" for line in listed[:_SHOWN])
    more = f"\n    and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    remedies = ["Remove one of the two packages, or use another build of it."] if lines else []
    if open_ones:
        verb = "change owners to" if owners.entries else "add"
        line = owners_line(owners, _proposal(open_ones))
        remedies.append(f"Say whose file is to be used: in [bundle] of bundle.toml, {verb}\n    {line}")
    return PrefixError(
        f"{'packages have different files with the same name' if open_ones else 'packages conflict'}:{shown}{more}",
        where="the environment",
        remedy="\n  ".join(remedies),
    )


def _proposal(open_ones: Sequence[_Open]) -> list[Owner]:
    """Lines for ``owners`` that resolve all conflicts: each path, or patterns if the list would be long."""
    exact = [Owner(pattern=path, package=_named(key, holders)) for path, holders, key in open_ones]
    if len(exact) <= _SHOWN:
        return exact
    groups: dict[tuple[str, ...], list[Owner]] = {}
    for (_, holders, _), line in zip(open_ones, exact, strict=True):
        groups.setdefault((*holders, line.package, line.pattern.partition("/")[0]), []).append(line)
    found: dict[str, Owner] = {}
    for lines in groups.values():
        directory = os.path.commonpath([os.path.dirname(line.pattern) for line in lines])  # noqa: PTH120
        pattern = f"{glob.escape(directory)}/*"
        if len(lines) > 1 and directory and pattern not in found:
            found[pattern] = Owner(pattern=pattern, package=lines[0].package)
        else:
            found |= {line.pattern: line for line in lines}
    return list(found.values())


def _named(key: str, holders: Iterable[str]) -> str:
    name = name_of(key)
    if sum(canonicalize_name(name_of(other)) == canonicalize_name(name) for other in holders) == 1:
        return name
    return key if key != name else f"conda:{name}"


def _listed(keys: Sequence[str]) -> str:
    return f"{', '.join(map(described, keys[:-1]))} and {described(keys[-1])}"


def _check(owners: Owners, paths: Mapping[str, tuple[str, ...]], environment: _Environment) -> Iterator[str]:
    """A note for each entry without an effect. Raises :class:`ConfigError` for entries that are wrong."""
    mistakes = []
    for entry in owners.unused(paths):
        meant = [key for key in environment.keys if entry.means(key)]
        if not meant:
            yield f"note: bundle.owners: {entry}: no package {entry.package} in this environment"
        elif any(entry.matches(path) for key in meant for path in environment.files(key)):
            yield f"note: bundle.owners: {entry} has no effect: no other package provides this file"
        else:
            mistakes.append(_nothing(entry, paths))
    if mistakes:
        remedy = "Correct the path (below the prefix, as in lib/python3.11/site-packages/x.py) or the package."
        raise mistaken(mistakes, remedy=remedy)


def _nothing(entry: Owner, paths: Mapping[str, tuple[str, ...]]) -> str:
    """The error for an entry whose package has no such file."""
    holders = sorted({key for path, keys in paths.items() if entry.matches(path) for key in keys})
    if holders:
        names = frozenset(map(name_of, holders))
        help_ = nearest(entry.package, names) or f"; {', '.join(map(described, holders))} have one"
    else:
        help_ = nearest(entry.pattern, frozenset(filter(str.isprintable, paths)))
    return f"{entry}: {entry.package} has no such file{help_}"

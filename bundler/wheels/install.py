"""Wheels -> files in a prefix, by pypa's installer: no pip, none of the packages' code, no bytecode (that is ours).

All of it is planned first. A file that two packages have is refused before the first one is written.
"""

from __future__ import annotations

import os
import posixpath
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, cast

from installer import install
from installer.destinations import SchemeDictionaryDestination, WheelDestination
from installer.records import RecordEntry
from installer.sources import WheelFile

from bundler.errors import PrefixError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from zipfile import ZipFile

    from installer.scripts import ScriptSection
    from installer.sources import WheelContentElement
    from installer.utils import Scheme

    from bundler.lock.lockfile import LockedPackage
    from bundler.wheels.python import Python
    from bundler.wheels.read import Wheel

__all__ = ["Plan", "install_wheels", "plan_wheel", "refuse_clashes"]

_ADDED = {"INSTALLER": b"conda-bundler\n", "REQUESTED": b""}
"""Beside the wheel's own metadata, as pip has it. No direct_url.json: the places of a build machine mean nothing."""
_LINKERS = ("conda-meta/", "__clobbers__/")
_SHOWN = 10
_PYTHON = b"#!python"
_OTHER_BUILD = "Take another build of it, or a conda package."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A wheel, and the files that it will have, below the prefix, sorted.

    ``baked`` are those of them that carry the prefix, ``metadata`` those of its .dist-info. ``schemes`` say where its
    parts go.
    """

    package: LockedPackage
    wheel: Wheel
    schemes: Mapping[str, str]
    files: tuple[str, ...]
    baked: frozenset[str]
    metadata: frozenset[str]


def plan_wheel(package: LockedPackage, wheel: Wheel, python: Python) -> Plan:
    """What installing ``wheel`` will write. Raises :class:`PrefixError` if it cannot be installed."""
    schemes = {**python.schemes, "headers": f"{python.schemes['headers']}/{wheel.name}"}
    planner = _Planner(schemes)
    _install(wheel, planner, _Outline)
    problem = _problem(planner.files)
    if problem:
        raise PrefixError(problem, where=wheel.where, remedy=_OTHER_BUILD)
    return Plan(
        package=package,
        wheel=wheel,
        schemes=schemes,
        files=tuple(sorted(planner.files)),
        baked=frozenset(planner.baked),
        metadata=frozenset(planner.metadata),
    )


def refuse_clashes(plans: Sequence[Plan], owners: Iterable[tuple[str, str]]) -> None:
    """Raise :class:`PrefixError` if a wheel would write what another package has.

    ``owners`` are the conda packages' files and links, each with the package's name.
    """
    places = _Places()
    for path, name in owners:
        places.add(path, f"{name} (conda)")
    clashes = []
    for one in plans:
        told = f"{one.package.name} (wheel)"
        clashes += [f"{file}: {other} and {told}" for file in one.files if (other := places.owner(file))]
        for file in one.files:
            places.add(file, told)
    if clashes:
        shown = "".join(f"\n    {clash}" for clash in clashes[:_SHOWN])
        more = f"\n    and {len(clashes) - _SHOWN} more" if len(clashes) > _SHOWN else ""
        raise PrefixError(
            f"two packages have the same file:{shown}{more}",
            where="the environment",
            remedy="Leave one of the two out, or take both as conda packages: what is in a bundle must not depend on "
            "which of them comes last.",
        )


def install_wheels(plans: Sequence[Plan], prefix: Path, baked: str) -> None:
    """Write the files of ``plans`` below ``prefix``; what carries a prefix carries ``baked``.

    Raises :class:`PrefixError`, with some of them written, if a wheel is damaged or the disk is full.
    """
    for directory in sorted({posixpath.dirname(file) for one in plans for file in one.files}):
        (prefix / directory).mkdir(parents=True, exist_ok=True)  # before the threads meet there

    def write(one: Plan) -> None:
        places = {scheme: str(prefix / place) for scheme, place in one.schemes.items()}
        _install(one.wheel, _Destination(places, interpreter=f"{baked}/bin/python", script_kind="posix"), _Source)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in pool.map(write, plans):
            pass


class _Places:
    """Who has which file, and which directories there are for them."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._directories: dict[str, str] = {}

    def add(self, path: str, owner: str) -> None:
        self._files[path] = owner
        for parent in _parents(path):
            if parent in self._directories:
                break
            self._directories[parent] = owner

    def owner(self, path: str) -> str | None:
        """Who would be in the way of a file at ``path``: by a file there or above it, or by a directory."""
        above = (self._files[parent] for parent in _parents(path) if parent in self._files)
        return self._files.get(path) or self._directories.get(path) or next(above, None)


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _problem(files: Sequence[str]) -> str | None:
    places = _Places()
    for file in files:
        if not {"", ".", ".."}.isdisjoint(file.split("/")) or file.startswith(_LINKERS):
            return f"would write to {file}, where nothing of a wheel belongs"
        if places.owner(file):
            return f"would write {file} twice"
        places.add(file, "itself")
    return None


def _install(wheel: Wheel, destination: WheelDestination, kind: type[_Source]) -> None:
    try:
        with kind.open(wheel.path) as source:
            install(source, destination, _ADDED)
    except Exception as error:  # the installer's own, and what it meets in a file that is no good: KeyError, assertions
        raise PrefixError(f"cannot be installed: {error!r}", where=wheel.where, remedy=_OTHER_BUILD) from error


class _Source(WheelFile):
    """A wheel without bytecode: some Python's, from some time; and without signatures of a RECORD that is rewritten."""

    def __init__(self, archive: ZipFile) -> None:
        super().__init__(archive)
        self._archive = archive

    def get_contents(self) -> Iterator[WheelContentElement]:
        for record, stream, is_executable in super().get_contents():
            if self._is_wanted(record[0]):
                yield record, stream, is_executable

    def _is_wanted(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        signature = directory == self.dist_info_dir and name in ("RECORD.jws", "RECORD.p7s")
        return "__pycache__" not in directory.split("/") and not signature


class _Outline(_Source):
    """A wheel's files by name; nothing is read but the scripts, which is a tenth of the work for thousands of files."""

    def get_contents(self) -> Iterator[WheelContentElement]:
        for entry in self._archive.infolist():
            if not entry.is_dir() and self._is_wanted(entry.filename):
                script = entry.filename.startswith(f"{self.data_dir}/scripts/")
                with self._archive.open(entry) if script else BytesIO() as stream:
                    yield (entry.filename, "", ""), cast("BinaryIO", stream), False


@dataclass
class _Planner(WheelDestination):
    """Writes nothing, and notes what would be written."""

    schemes: Mapping[str, str]
    files: list[str] = field(default_factory=list)
    baked: list[str] = field(default_factory=list)
    metadata: list[str] = field(default_factory=list)

    def write_script(self, name: str, module: str, attr: str, section: ScriptSection) -> RecordEntry:
        self.baked.append(self._note("scripts", name))
        return RecordEntry(name, None, None)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        name = os.fspath(path)
        file = self._note(scheme, name)
        if scheme == "scripts" and stream.read(len(_PYTHON)) == _PYTHON:
            self.baked.append(file)
        return RecordEntry(name, None, None)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        self._note(scheme, record_file_path)

    def _note(self, scheme: str, path: str) -> str:
        file = posixpath.join(self.schemes[scheme], path)
        self.files.append(file)
        if scheme in ("purelib", "platlib") and path.partition("/")[0].endswith(".dist-info"):
            self.metadata.append(file)
        return file


class _Destination(SchemeDictionaryDestination):
    """Writes, and records no hash of a script that carries the prefix: relocation would make it a lie."""

    def write_script(self, name: str, module: str, attr: str, section: ScriptSection) -> RecordEntry:
        return RecordEntry(super().write_script(name, module, attr, section).path, None, None)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        baked = scheme == "scripts" and stream.read(len(_PYTHON)) == _PYTHON
        stream.seek(0)
        entry = super().write_file(scheme, path, stream, is_executable)
        return RecordEntry(entry.path, None, None) if baked else entry

"""Install wheels into a prefix with pypa's installer: no pip, no package code, no bytecode (which we compile).

It is planned first, so that :mod:`bundler.sharing` can omit files for which another package's is used.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from installer import install
from installer.destinations import SchemeDictionaryDestination, WheelDestination
from installer.records import Hash, InvalidRecordEntry, RecordEntry
from installer.sources import WheelFile
from installer.utils import copyfileobj_with_hashing

from bundler.diskspace import check_space
from bundler.errors import PrefixError
from bundler.package.paths import parents_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from zipfile import ZipFile, ZipInfo

    from installer.scripts import ScriptSection
    from installer.sources import WheelContentElement
    from installer.utils import Scheme

    from bundler.locked import LockedPackage
    from bundler.wheels.python import Python
    from bundler.wheels.read import Wheel

__all__ = ["Plan", "contents", "install_wheels", "plan_wheel"]

_ADDED = {"INSTALLER": b"conda-bundler\n", "REQUESTED": b""}
"""Added to the wheel's metadata, as pip does. No direct_url.json: the build machine's paths are meaningless."""
_LINKERS = ("conda-meta/", "__clobbers__/")
_PYTHON = b"#!python"
_PIECE = 1 << 20
_OTHER_BUILD = "Use a different build of it, or a conda package."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A wheel, and the files that it installs, below the prefix, sorted.

    ``baked`` are those that contain the prefix, ``metadata`` those of its .dist-info. ``schemes`` are the directories
    for its parts. ``left_out`` are those of ``files`` that are not written because another package's file is used; true
    if that file is the same.
    """

    package: LockedPackage
    wheel: Wheel
    schemes: Mapping[str, str]
    files: tuple[str, ...]
    baked: frozenset[str]
    metadata: frozenset[str]
    left_out: Mapping[str, bool] = field(default_factory=dict)

    @property
    def written(self) -> tuple[str, ...]:
        return tuple(file for file in self.files if file not in self.left_out) if self.left_out else self.files


def plan_wheel(package: LockedPackage, wheel: Wheel, python: Python) -> Plan:
    """The files that installing ``wheel`` will write. Raises :class:`PrefixError` if it cannot be installed."""
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


def contents(plan: Plan, wanted: AbstractSet[str]) -> dict[str, str]:
    """A key for the content of each of the ``wanted`` files, which is equal for equal files.

    The files are read, since a RECORD may be wrong.
    """
    reader = _Reader(plan.schemes, wanted)
    _install(plan.wheel, reader, _Outline)
    return reader.found


def install_wheels(plans: Sequence[Plan], prefix: Path, baked: str) -> None:
    """Write the files of ``plans`` below ``prefix``, with ``baked`` as the prefix in their contents.

    Raises :class:`PrefixError` if the disk is too small; or, when some files have been written, if one is damaged or
    the disk is full.
    """
    check_space(prefix, sum(one.wheel.size for one in plans), what="wheels")
    for directory in sorted({posixpath.dirname(file) for one in plans for file in one.written}):
        (prefix / directory).mkdir(parents=True, exist_ok=True)  # before several threads try to

    def write(one: Plan) -> None:
        places = {scheme: str(prefix / place) for scheme, place in one.schemes.items()}
        destination = _Destination(places, interpreter=f"{baked}/bin/python", script_kind="posix", plan=one)
        _install(one.wheel, destination, _Source)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in pool.map(write, plans):
            pass


def _problem(files: Sequence[str]) -> str | None:
    seen: set[str] = set()
    directories: set[str] = set()
    for file in files:
        if not {"", ".", ".."}.isdisjoint(file.split("/")) or file.startswith(_LINKERS):
            return f"would write to {file}, where nothing of a wheel belongs"
        if file in seen:
            return f"would write {file} twice"
        seen.add(file)
        directories.update(parents_of(file))
    for file in sorted(seen & directories):
        return f"would write {file} as a file and as a directory"
    return None


def _install(wheel: Wheel, destination: WheelDestination, kind: type[_Source]) -> None:
    try:
        with kind.open(wheel.path) as source:
            install(source, destination, _ADDED)
    except Exception as error:  # the installer's, and any that a damaged file causes
        raise PrefixError(f"cannot be installed: {_told(error)}", where=wheel.where, remedy=_OTHER_BUILD) from error


def _told(error: Exception) -> str:
    """The reason in one line; the exception's class if it has no text."""
    if isinstance(error, InvalidRecordEntry):
        return f"its RECORD is wrong: {'; '.join(error.issues)}"
    text = str(error.args[-1] if error.args else "")  # the installer's have the source first
    return text.partition("\n")[0] or type(error).__name__


class _Source(WheelFile):
    """A wheel without bytecode, which may be of any Python, and without signatures of its RECORD."""

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
    """A wheel's files by name, opened only when they are read: a tenth of the work for thousands of files."""

    def get_contents(self) -> Iterator[WheelContentElement]:
        for entry in self._archive.infolist():
            if not entry.is_dir() and self._is_wanted(entry.filename):
                with closing(_Unopened(self._archive, entry)) as stream:
                    yield (entry.filename, "", ""), cast("BinaryIO", stream), False


@dataclass
class _Unopened:
    """A file of a wheel, as a stream."""

    archive: ZipFile
    entry: ZipInfo
    stream: IO[bytes] | None = None

    def read(self, size: int = -1) -> bytes:
        if self.stream is None:
            self.stream = self.archive.open(self.entry)
        return self.stream.read(size)

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()


@dataclass
class _Planner(WheelDestination):
    """Writes nothing, but records what would be written."""

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


@dataclass
class _Reader(WheelDestination):
    """Writes nothing, but reads the wanted files."""

    schemes: Mapping[str, str]
    wanted: AbstractSet[str]
    found: dict[str, str] = field(default_factory=dict)

    def write_script(self, name: str, module: str, attr: str, section: ScriptSection) -> RecordEntry:
        self._find("scripts", name, lambda: f"script {module}:{attr}")
        return RecordEntry(name, None, None)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        name = os.fspath(path)
        self._find(scheme, name, lambda: _content(stream, is_script=scheme == "scripts"))
        return RecordEntry(name, None, None)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        pass

    def _find(self, scheme: str, path: str, content: Callable[[], str]) -> None:
        file = posixpath.join(self.schemes[scheme], path)
        if file in self.wanted:
            self.found[file] = content()


def _content(stream: BinaryIO, *, is_script: bool) -> str:
    digest = hashlib.sha256(first := stream.read(len(_PYTHON)))
    while piece := stream.read(_PIECE):
        digest.update(piece)
    made_for = "baked " if is_script and first == _PYTHON else ""
    return f"{made_for}sha256 {digest.hexdigest()}"


@dataclass
class _Destination(SchemeDictionaryDestination):
    """Writes files. Records no hash for scripts that contain the prefix, which relocation changes, nor for files that
    differ because another package's is used.
    """

    plan: Plan = field(kw_only=True)

    def write_script(self, name: str, module: str, attr: str, section: ScriptSection) -> RecordEntry:
        if self._place("scripts", name) not in self.plan.left_out:
            super().write_script(name, module, attr, section)
        return RecordEntry(name, None, None)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        name = os.fspath(path)
        baked = scheme == "scripts" and stream.read(len(_PYTHON)) == _PYTHON
        stream.seek(0)
        is_same = self.plan.left_out.get(self._place(scheme, name))
        if is_same is None:
            entry = super().write_file(scheme, path, stream, is_executable)
            return RecordEntry(entry.path, None, None) if baked else entry
        return _hashed(name, stream) if is_same and not baked else RecordEntry(name, None, None)

    def _place(self, scheme: str, path: str) -> str:
        return posixpath.join(self.plan.schemes[scheme], path)


def _hashed(path: str, stream: BinaryIO) -> RecordEntry:
    """The entry of a file that is not written."""
    with Path(os.devnull).open("wb") as nowhere:
        digest, size = copyfileobj_with_hashing(stream, nowhere, "sha256")
    return RecordEntry(path, Hash("sha256", digest), size)

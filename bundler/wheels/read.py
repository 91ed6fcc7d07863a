"""Read a wheel and check it.

The format is the binary distribution format of packaging.python.org. A wheel is a zip file, which can contain names and
types of files that do not belong in a release: they are refused here, however an unpacker would treat them.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from configparser import ConfigParser
from configparser import Error as PointsError
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import IO, TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundler.errors import PrefixError
from bundler.package.entrypoint import is_command_name, is_object_reference
from bundler.package.paths import is_too_long

if TYPE_CHECKING:
    from collections.abc import Iterable
    from email.message import Message
    from pathlib import Path

    from packaging.tags import Tag

    from bundler.wheels.python import Python

__all__ = ["Wheel", "check_fit", "metadata_of", "read_wheel"]

_REGULAR = (0, stat.S_IFREG)
"""Zip files created on other systems have no file type."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST_DIGITS = 40
_NUMBER = re.compile(rf"\d{{{_MOST_DIGITS}}}(?=\d)")
_DAMAGES = (zipfile.BadZipFile, zlib.error, struct.error)
_READ_AT_ONCE = re.compile(r"[^/]+\.dist-info/(METADATA|RECORD|WHEEL|entry_points\.txt)")
_ENTRY_POINTS = re.compile(r"[^/]+\.dist-info/entry_points\.txt")
_COMMANDS = ("console_scripts", "gui_scripts")
_MOST_READ = 64 << 20
"""The maximum size of a file that is read as a whole: a RECORD of half a million files. Kilobytes can unpack to GBs."""
_MOST_METADATA = 4 << 20
"""The maximum size of a METADATA that is read from a server."""
_REMEDY = "Use a different build of it, or a conda package."


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel that has been checked. ``name`` is normalized."""

    path: Path
    name: str
    version: Version
    tags: frozenset[Tag]
    requires_python: SpecifierSet
    requires: tuple[Requirement, ...]
    size: int
    """Its unpacked size in bytes; no file is unpacked beyond the size in the archive's directory."""

    @property
    def where(self) -> str:
        return f"{self.name} ({self.path.name})"


def read_wheel(path: Path) -> Wheel:
    """Read and check the wheel at ``path``. Raises :class:`PrefixError` if it is not a valid wheel."""
    where = path.name
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            data = f"{'-'.join(path.name.split('-')[:2])}.data"
            problem = (
                _too_large(archive.infolist()) or _problem(archive.infolist(), data) or _problem_of_commands(archive)
            )
            message = None if problem else _metadata(archive)
            size = sum(entry.file_size for entry in archive.infolist())
        if problem or message is None:
            raise PrefixError(problem or "not a wheel: it has no METADATA", where=where, remedy=_REMEDY)
        found = canonicalize_name(message["Name"] or ""), Version(message["Version"] or "")
        wheel = Wheel(
            path=path,
            name=name,
            version=version,
            tags=tags,
            requires_python=SpecifierSet(_readable(message["Requires-Python"] or "")),
            requires=tuple(Requirement(_readable(text)) for text in message.get_all("Requires-Dist", ())),
            size=size,
        )
    except (InvalidWheelFilename, InvalidVersion, InvalidSpecifier, InvalidRequirement) as error:
        raise PrefixError(f"not a wheel: {error}", where=where, remedy=_REMEDY) from error
    except (*_DAMAGES, OSError, EOFError, LookupError, ValueError, RuntimeError) as error:
        raise PrefixError(f"not a wheel: it cannot be read ({error})", where=where, remedy=_REMEDY) from error
    if found != (name, version):
        raise PrefixError(
            f"not what it is called: its metadata says {found[0]} {found[1]}", where=where, remedy=_REMEDY
        )
    return wheel


def metadata_of(file: IO[bytes]) -> bytes:
    """The METADATA of the wheel in ``file``, which is read only as far as necessary; nothing else in it is checked.

    Raises :class:`PrefixError` if there is none.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            found = [name for name in archive.namelist() if _is_metadata(name)]
            if len(found) == 1 and archive.getinfo(found[0]).file_size <= _MOST_METADATA:
                return archive.read(found[0])
    except (*_DAMAGES, OSError, EOFError, LookupError, ValueError, RuntimeError) as error:
        raise PrefixError(f"not a wheel: it cannot be read ({error})", remedy=_REMEDY) from error
    raise PrefixError("not a wheel: it has no METADATA", remedy=_REMEDY)


def check_fit(wheel: Wheel, python: Python) -> None:
    """Raise :class:`PrefixError` if ``wheel`` does not support ``python`` or its platform."""
    if not python.takes(wheel.tags):
        tags = ", ".join(sorted(str(tag) for tag in wheel.tags))
        raise PrefixError(
            f"is for {tags}; the environment has {python}",
            where=wheel.where,
            remedy="Use a wheel for this Python and platform, or lock again if the environment has changed.",
        )
    if not wheel.requires_python.contains(python.version, prereleases=True):
        raise PrefixError(
            f"needs Python {wheel.requires_python}; the environment has {python}",
            where=wheel.where,
            remedy="Use a version that supports this Python, or request a different Python in environment.yml.",
        )


def _too_large(entries: Iterable[zipfile.ZipInfo]) -> str | None:
    """A file that is read as a whole but would fill the memory; None if there is none."""
    large = (one.filename for one in entries if one.file_size > _MOST_READ and _READ_AT_ONCE.fullmatch(one.filename))
    found = next(large, None)
    return found and f"contains {found}, which is larger than {_MOST_READ >> 20} MiB"


def _problem(entries: Iterable[zipfile.ZipInfo], data: str) -> str | None:
    """What is wrong with the archive's entries; None if nothing is. ``data`` is the name of its .data directory."""
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename.removesuffix("/")
        mode = entry.external_attr >> 16
        is_directory = entry.filename.endswith("/")
        regular = is_directory or stat.S_IFMT(mode) in _REGULAR
        if problem := _of_name(name):
            return f"contains a name {problem}: {entry.filename[:100]!r}"
        if name in seen:
            return f"contains {name} twice"
        if not is_directory and data in (name, name.rpartition("/")[0]):  # the installer would loop for ever
            return f"contains {name} as a file, but it must be a directory"
        if not regular:
            return f"contains {name}, which is neither a file nor a directory"
        if mode & 0o7000 and not is_directory:
            return f"contains {name} with a setuid, setgid or sticky bit (mode {stat.S_IMODE(mode):o})"
        seen.add(name)
    return None


def _problem_of_commands(archive: zipfile.ZipFile) -> str | None:
    """What is wrong with the commands in entry_points.txt; None if nothing is."""
    for file in filter(_ENTRY_POINTS.fullmatch, archive.namelist()):
        points = ConfigParser(delimiters="=", interpolation=None)
        points.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
        try:
            points.read_string(archive.read(file).decode())
        except (PointsError, UnicodeDecodeError) as error:
            return f"contains {file}, which cannot be read: {str(error).splitlines()[0]}"
        for section in filter(points.has_section, _COMMANDS):
            for name, place in points.items(section):
                if not is_command_name(name) or not is_object_reference(place):
                    return f"contains {file} with `{name} = {place}`, which is not `command = module:function`"
    return None


def _of_name(name: str) -> str | None:
    if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\\" in name:
        return "that is empty or points outside"
    if is_too_long(name):
        return "that is too long, or in too many directories"
    return "with control characters" if _CONTROL.search(name) else None


def _metadata(archive: zipfile.ZipFile) -> Message | None:
    names = [name for name in archive.namelist() if _is_metadata(name)]
    return HeaderParser().parsestr(archive.read(names[0]).decode()) if len(names) == 1 else None


def _readable(text: str) -> str:
    """``text``, whose numbers can be compared, which is when packaging reads them: Python reads 4300 digits at most."""
    if number := _NUMBER.search(text):
        raise ValueError(f"it has a number of more than {_MOST_DIGITS} digits: {number[0]}…")
    return text


def _is_metadata(name: str) -> bool:
    return name.count("/") == 1 and name.endswith(".dist-info/METADATA")

"""The decompressor that a bundle includes for servers without one: a program and its libraries.

They are separate files in the bundle, with digests like all others, and compressed with gzip, which every server has:
uncompressed, they would be larger than what zstd saves in a small bundle. Their relative paths are kept: ``bin/zstd``
in a prefix becomes ``tools/bin/zstd.gz`` in the bundle. So they find their libraries by ``$ORIGIN``, wherever they are
unpacked. A program with any other search path is not included, since root runs it.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.elf import read_elf
from bundler.pack.collect import collect
from bundler.pack.known import Known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.elf import Elf
    from bundler.locked import LockedPackage
    from bundler.pack.members import Member
    from bundler.prefix import Prefix

__all__ = ["TOOLS", "Decompressor", "UnusableError", "take_decompressor"]

TOOLS = "tools"
"""The directory in a bundle."""
_PROGRAM = "bin/zstd"
_GLIBC = re.compile(r"(ld-linux.*|ld64|lib(c|m|dl|rt|util|pthread|resolv))\.so\.\d+")
"""Libraries that the server provides."""
_LOADER = re.compile(r"/lib(64)?/(ld-linux[0-9A-Za-z._-]*|ld64)\.so\.\d+")
_PLAIN = re.compile(r"[0-9A-Za-z._+/-]+")
_ORIGIN = re.compile(r"\$(ORIGIN|\{ORIGIN\})(?=/|$)")
_LEVEL = 12  # libdeflate's highest
_LINKS = 40  # followed in a row, as many as Linux does


class UnusableError(Exception):
    """Why a program cannot be included: a clause, to be followed by what is done instead."""


@dataclass(frozen=True, kw_only=True)
class Decompressor:
    """``program`` is a path in the bundle, ``files`` are paths there with their contents, the program's among them.

    ``loader`` is the dynamic loader that a target must have; empty if the program is linked statically. ``packages``
    are those that the files come from. ``kib`` is what a filesystem with 4 KiB blocks needs for them, unpacked.
    """

    program: str
    files: Mapping[str, bytes]
    loader: str
    packages: tuple[LockedPackage, ...]
    kib: int


def take_decompressor(prefix: Prefix) -> Decompressor:
    """Take the decompressor from ``prefix``, which has the package zstd.

    Raises :class:`UnusableError` if that could not run elsewhere, :class:`~bundler.errors.DamagedCacheError` if a file
    is not what its package declares.
    """
    members = {member.path.removeprefix("env/"): member for member in collect(prefix)}
    taken: dict[str, Member] = {}
    contents: dict[str, bytes] = {}
    loader, pending = "", [_PROGRAM]
    while pending:
        place = pending.pop()
        if place in taken:
            continue
        taken[place] = _file(members, place)
        contents[place] = _verified(taken[place])
        elf = read_elf(contents[place])
        if elf is None or not elf.is_for(prefix.lock.platform):
            raise UnusableError(f"{place} of package zstd is not a program or library for {prefix.lock.platform}")
        if elf.interpreter and not _LOADER.fullmatch(elf.interpreter):
            raise UnusableError(f"{place} of package zstd uses the loader {elf.interpreter!r}, not glibc's")
        loader = loader or elf.interpreter
        pending += _libraries(elf, place, members)
    owners = {dist for member in taken.values() if member.declared for dist in member.declared.copies}
    return Decompressor(
        program=_in_bundle(_PROGRAM),
        files={_in_bundle(place): _packed(content) for place, content in sorted(contents.items())},
        loader=loader,
        packages=tuple(package for package in prefix.lock.packages if package.dist in owners),
        kib=sum(-(-len(content) // 4096) * 4 for content in contents.values()),
    )


def _in_bundle(place: str) -> str:
    return f"{TOOLS}/{place}.gz"


def _packed(content: bytes) -> bytes:
    import deflate

    return bytes(deflate.gzip_compress(content, _LEVEL))


def _file(members: Mapping[str, Member], place: str) -> Member:
    """The file at ``place``, links followed."""
    path = place
    for _ in range(_LINKS):
        member = members.get(path)
        if member is None or member.is_directory:
            break
        if member.link is None:
            return member
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.link))
    raise UnusableError(f"package zstd has no {place}")


def _verified(member: Member) -> bytes:
    content = bytearray(member.length)
    member.fill(memoryview(content), Known())
    return bytes(content)


def _libraries(elf: Elf, place: str, members: Mapping[str, Member]) -> Iterator[str]:
    """Where in the prefix the object at ``place`` finds what it needs and a target does not have."""
    directories = [_directory(entry, place) for entry in elf.search]
    for name in elf.needed:
        if _GLIBC.fullmatch(name):
            continue
        # A name with a slash is a path to a loader, whatever is searched.
        searched = () if "/" in name else directories
        found = (posixpath.normpath(posixpath.join(directory, name)) for directory in searched)
        library = next((path for path in found if path in members), None)
        if library is None:
            raise UnusableError(f"{place} of package zstd does not find {name} through its own search path")
        if not _PLAIN.fullmatch(library):
            raise UnusableError(f"{place} of package zstd requires a library with an invalid name: {library!r}")
        yield library


def _directory(entry: str, place: str) -> str:
    """The directory in the prefix that an entry of a search path means."""
    directory, relative = _ORIGIN.subn(lambda _: posixpath.dirname(place), entry, count=1)
    directory = posixpath.normpath(directory)
    if not relative or not entry.startswith("$") or "$" in directory or directory.startswith(("/", "..")):
        raise UnusableError(f"{place} of package zstd searches for libraries in {entry!r}, outside the included files")
    return directory

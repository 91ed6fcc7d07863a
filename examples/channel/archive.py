"""Package -> archive, byte for byte the same each time: ``.conda`` or ``.tar.bz2``.

The metadata files are conda-build's: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model import EPOCH, PLACEHOLDER, ChannelError, Member, Package

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Archive", "pack"]

# The tool's default of 19 takes half a minute for the interpreter and saves a tenth. Synthetic packages are only read
# again by the machine that made them, some gigabytes of them.
_ZSTD_LEVELS = {False: 7, True: 1}

_ARCH = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A finished package file: its place in the channel and its bytes."""

    subdir: str
    filename: str
    content: bytes


def pack(package: Package) -> Archive:
    """Write ``package`` as an archive. Raises :class:`ChannelError` if two of its files have one path."""
    members = tuple(sorted(package.members, key=lambda member: member.path))
    _check(package.name, members)
    paths = _document(_paths(members))
    build = _build_string(package, paths)
    info = _info(package, build, paths, members)
    stem = f"{package.name}-{package.version}-{build}"
    write = _tar_bz2 if package.archive == ".tar.bz2" else _conda
    return Archive(
        subdir=package.subdir, filename=stem + package.archive, content=write(stem, info, members, quick=package.quick)
    )


def _check(name: str, members: tuple[Member, ...]) -> None:
    seen: set[str] = set()
    for member in members:
        if member.path in seen:
            raise ChannelError("two files of the package have this path", where=f"{name}: {member.path}")
        if member.placeholder is None and PLACEHOLDER.encode() in member.content:
            raise ChannelError("holds the placeholder but is not marked so", where=f"{name}: {member.path}")
        seen.add(member.path)


def _build_string(package: Package, paths: bytes) -> str:
    # The hash is over the content: a rebuilt package that differs is a different file name, so neither a lockfile
    # nor a package cache can confuse the two.
    facts = json.dumps([package.depends, package.entry_points, package.license, package.summary])
    digest = hashlib.sha256(paths + facts.encode()).hexdigest()
    return f"{package.build_prefix}h{digest[:7]}_0{package.build_suffix}"


def _paths(members: tuple[Member, ...]) -> dict[str, Any]:
    by_path = {member.path: member for member in members}
    return {"paths": [_path_entry(member, by_path) for member in members], "paths_version": 1}


def _path_entry(member: Member, by_path: dict[str, Member]) -> dict[str, Any]:
    hashed = _followed(member, by_path)
    entry: dict[str, Any] = {
        "_path": member.path,
        "path_type": "hardlink" if member.target is None else "softlink",
        "sha256": hashlib.sha256(hashed).hexdigest(),
        "size_in_bytes": len(hashed),
    }
    if member.placeholder:
        entry["prefix_placeholder"] = PLACEHOLDER
        entry["file_mode"] = member.placeholder
    return entry


def _followed(member: Member, by_path: dict[str, Member]) -> bytes:
    """What a reader of the path sees: conda-build hashes links' targets, and nothing for a dangling link."""
    for _ in range(8):
        if member.target is None:
            return member.content
        path = posixpath.normpath(posixpath.join(posixpath.dirname(member.path), member.target))
        if path not in by_path:
            return b""
        member = by_path[path]
    raise ChannelError("a symbolic link leads in a circle", where=member.path)


def _info(package: Package, build: str, paths: bytes, members: tuple[Member, ...]) -> tuple[Member, ...]:
    index: dict[str, Any] = {
        "arch": _ARCH.get(package.subdir),
        "build": build,
        "build_number": 0,
        "depends": list(package.depends),
        "license": package.license,
        "name": package.name,
        "platform": None if package.noarch else "linux",
        "subdir": package.subdir,
        "timestamp": EPOCH * 1000,
        "version": package.version,
    }
    if package.noarch:
        index["noarch"] = package.noarch
    about = {"home": package.home, "license": package.license, "summary": package.summary}
    files = [
        Member(path="info/about.json", content=_document(about)),
        Member(path="info/files", content="".join(f"{member.path}\n" for member in members).encode()),
        Member(path="info/index.json", content=_document(index)),
        Member(path="info/paths.json", content=paths),
    ]
    if package.noarch == "python":
        noarch = {"type": "python", "entry_points": list(package.entry_points)}
        link = {"noarch": noarch, "package_metadata_version": 1}
        files.append(Member(path="info/link.json", content=_document(link)))
    files += [
        Member(path=f"info/licenses/{text.path}", content=text.content)
        for text in sorted(package.licenses, key=lambda text: text.path)
    ]
    return tuple(files)


def _document(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _add(tar: tarfile.TarFile, members: Iterable[Member]) -> None:
    for member in members:
        entry = tarfile.TarInfo(member.path)
        entry.mtime = EPOCH
        entry.mode = 0o755 if member.executable else 0o644
        if member.target is not None:
            entry.type = tarfile.SYMTYPE
            entry.linkname = member.target
            entry.mode = 0o777
        else:
            entry.size = len(member.content)
        tar.addfile(entry, io.BytesIO(member.content))


def _tar_bz2(stem: str, info: tuple[Member, ...], members: tuple[Member, ...], *, quick: bool) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2", compresslevel=1 if quick else 9) as tar:
        _add(tar, info + members)
    return packed.getvalue()


def _conda(stem: str, info: tuple[Member, ...], members: tuple[Member, ...], *, quick: bool) -> bytes:
    from conda_package_streaming.create import conda_builder

    with tempfile.TemporaryDirectory() as scratch:
        with conda_builder(stem, scratch, compression_level=_ZSTD_LEVELS[quick]) as tar:
            _add(tar, info + members)
        return _without_clock(Path(scratch, f"{stem}.conda"))


def _without_clock(path: Path) -> bytes:
    """The same zip file with constant dates in it: the builder stamps its parts with the time of day."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as goal:
        for part in source.infolist():
            goal.writestr(zipfile.ZipInfo(part.filename), source.read(part))
    return packed.getvalue()

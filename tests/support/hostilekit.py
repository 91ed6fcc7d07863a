"""Packages whose paths.json says anything."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from lockkit import locked
from tinychannel import File, Link, open_archive, write_archive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.locked import LockedPackage

__all__ = ["entry", "member", "package", "package_of"]

Member = tuple[tarfile.TarInfo, bytes]


def entry(path: str, content: bytes | None = b"", **more: object) -> dict[str, object]:
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    return {"_path": path, "path_type": "hardlink", "sha256": digest, "size_in_bytes": len(content or b""), **more}


def package(
    room: Path,
    name: str,
    members: Mapping[str, File | Link],
    *paths: Mapping[str, object],
    depends: tuple[str, ...] = (),
    info: Mapping[str, bytes] | None = None,
) -> LockedPackage:
    """A package whose paths.json is ``paths``, whatever it has."""
    about: dict[str, Any] = {"name": name, "version": "1.0", "build": "0", "build_number": 0, "depends": list(depends)}
    files = {
        "info/index.json": json.dumps(about | {"subdir": "linux-64"}).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        **(info or {}),
    }
    archive = room / "channel" / "linux-64" / f"{name}-1.0-0.conda"
    write_archive(archive, {path: File(content=content) for path, content in files.items()} | dict(members))
    return locked(archive, depends=depends)


def member(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, to: str = "", **more: Any) -> Member:
    """A member of a tar, of any ``kind``; ``more`` are its other fields."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, to, len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def package_of(room: Path, extension: str, members: Sequence[Member], *paths: Mapping[str, object]) -> LockedPackage:
    """A package called evil, of these members of its tar in this order; its paths.json is ``paths``."""
    about = {"name": "evil", "version": "1.0", "build": "0", "build_number": 0, "depends": [], "subdir": "linux-64"}
    said = json.dumps({"paths": paths, "paths_version": 1}).encode()
    archive = room / "channel" / "linux-64" / f"evil-1.0-0{extension}"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with open_archive(archive) as tar:
        tar.addfile(*_with_stream(member("info/index.json", json.dumps(about).encode())))
        tar.addfile(*_with_stream(member("info/paths.json", said)))
        for one in members:
            tar.addfile(*_with_stream(one))
    return locked(archive)


def _with_stream(one: Member) -> tuple[tarfile.TarInfo, io.BytesIO]:
    return one[0], io.BytesIO(one[1])

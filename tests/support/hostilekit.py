"""Packages whose paths.json says anything."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lockkit import locked
from tinychannel import File, Link, write_archive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.locked import LockedPackage

__all__ = ["entry", "package"]


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

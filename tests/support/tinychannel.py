"""Real conda packages of a few bytes, and real channels of them, for tests.

A package is written as conda-build writes it (``info/index.json``, ``info/paths.json`` and, for noarch Python,
``info/link.json``), so that rattler, conda and conda-pack all take it for one of their own.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from conda_package_streaming.create import conda_builder
from rattler.index import index_fs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["PLACEHOLDER", "File", "Link", "index", "make_package", "open_archive"]

PLACEHOLDER = "/" + "placehold_" * 25 + "hold"
"""What stands in a package's files for the prefix: 255 characters, as conda-build has it."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file with more to it than its content.

    ``prefix`` tells how ``placeholder`` in it is to be replaced; ``declared`` is the sha256 that paths.json says, if
    not the true one.
    """

    content: bytes
    mode: int = 0o644
    prefix: Literal["text", "binary"] | None = None
    placeholder: str = PLACEHOLDER
    declared: str | None = None


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


def make_package(  # noqa: PLR0913 -- a package has this many sides, and each is given by its name
    channel_dir: Path,
    name: str,
    version: str,
    *,
    subdir: str = "noarch",
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
    files: Mapping[str, bytes | File | Link] | None = None,
    build: str = "0",
    build_number: int = 0,
    python: bool = False,
    entry_points: Sequence[str] = (),
    extension: Literal[".conda", ".tar.bz2"] = ".conda",
    timestamp: int | None = None,
    site_packages: str | None = None,
    extra_depends: Mapping[str, Sequence[str]] | None = None,
    flags: Sequence[str] = (),
    license: str = "",  # noqa: A002 -- as index.json has it
    info: Mapping[str, bytes] | None = None,
) -> Path:
    """Write ``<channel_dir>/<subdir>/<name>-<version>-<build><extension>`` and return its path.

    ``files`` are paths in the prefix; with ``python`` (noarch only) those below ``site-packages/`` and
    ``python-scripts/`` go where the environment's own Python wants them, and ``entry_points`` (``"cmd = mod:func"``)
    become scripts. ``timestamp`` is in milliseconds. ``site_packages`` is where a Python says that it wants them (CEP
    17), ``extra_depends`` and ``flags`` are those of CEPs 44 and 45, ``info`` are more files below ``info/``. Call
    :func:`index` when all packages are there.
    """
    contents = {path: _as_file(content) for path, content in (files or {}).items()}
    about: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": build_number,
        "subdir": subdir,
        "depends": list(depends),
        "constrains": list(constrains),
    }
    if subdir == "noarch":
        about["noarch"] = "python" if python else "generic"
    if timestamp is not None:
        about["timestamp"] = timestamp
    if extra_depends:
        about["extra_depends"] = {name: list(specs) for name, specs in extra_depends.items()}
    if license:
        about["license"] = license
    if flags:
        about["flags"] = list(flags)
    if site_packages is not None:
        about["python_site_packages_path"] = site_packages
    said = {
        "info/index.json": _json(about),
        "info/about.json": _json({"summary": f"{name}, for tests"}),
        "info/paths.json": _json(_paths(contents)),
        "info/files": "".join(f"{path}\n" for path in sorted(contents)).encode(),
    }
    said |= {f"info/{path}": content for path, content in (info or {}).items()}
    if python:
        noarch = {"type": "python", "entry_points": list(entry_points)}
        said["info/link.json"] = _json({"package_metadata_version": 1, "noarch": noarch})
    archive = channel_dir / subdir / f"{name}-{version}-{build}{extension}"
    write_archive(archive, {path: File(content=content) for path, content in said.items()} | contents)
    return archive


def index(channel_dir: Path) -> None:
    """Write ``repodata.json``, and its compressed and sharded forms, for every subdir; again after a change."""
    (channel_dir / "noarch").mkdir(parents=True, exist_ok=True)
    asyncio.run(index_fs(channel_dir))


def _as_file(content: bytes | File | Link) -> File | Link:
    return File(content=content) if isinstance(content, bytes) else content


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode()


def _paths(files: Mapping[str, File | Link]) -> dict[str, Any]:
    entries = []
    for path, file in sorted(files.items()):
        content = file.content if isinstance(file, File) else b""
        entry: dict[str, Any] = {
            "_path": path,
            "path_type": "hardlink" if isinstance(file, File) else "softlink",
            "sha256": (isinstance(file, File) and file.declared) or hashlib.sha256(content).hexdigest(),
            "size_in_bytes": len(content),
        }
        if isinstance(file, File) and file.prefix is not None:
            entry |= {"prefix_placeholder": file.placeholder, "file_mode": file.prefix}
        entries.append(entry)
    return {"paths": entries, "paths_version": 1}


def write_archive(archive: Path, members: Mapping[str, File | Link]) -> None:
    """Write an archive of nothing but ``members``, whatever they are."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    with open_archive(archive) as tar:
        for path, file in members.items():
            member = tarfile.TarInfo(path)
            if isinstance(file, Link):
                member.type, member.linkname = tarfile.SYMTYPE, file.target
                tar.addfile(member)
            else:
                member.mode, member.size = file.mode, len(file.content)
                tar.addfile(member, io.BytesIO(file.content))


@contextmanager
def open_archive(archive: Path) -> Iterator[tarfile.TarFile]:
    """An archive to be written, whatever goes into it."""
    if archive.name.endswith(".tar.bz2"):
        with tarfile.open(archive, "w:bz2") as tar:
            yield tar
    else:
        with conda_builder(archive.name.removesuffix(".conda"), archive.parent, compression_level=1) as tar:
            yield tar

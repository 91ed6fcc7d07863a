"""The SBOM of a bundle or a lockfile, for the commands that accept either."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.about.read import facts_of
from bundler.atomic import write_file
from bundler.bundle.provenance import read_provenance
from bundler.bundle.sbom import SBOM
from bundler.config.lockfiles import sort_lockfiles
from bundler.errors import ConfigError, PackError
from bundler.lockfiles.read import locked_platforms, read_lock
from bundler.printable import counted
from bundler.reader.documents import document_of
from bundler.reader.open import open_bundle
from bundler.sbom.read import read_sbom
from bundler.sbom.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.sbom.read import Sbom

__all__ = ["Inventory", "is_bundle", "take_inventory", "take_provenance", "write_document"]

_TAR = slice(257, 262)
"""The position of ``ustar`` in a tar file."""
_USUAL = "linux-64"


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """``document`` is the SBOM, read or generated; ``notes`` are remarks on a generated one."""

    document: bytes
    sbom: Sbom
    notes: tuple[str, ...] = ()


def take_inventory(path: Path, platform: str | None = None) -> Inventory:
    """The SBOM in a bundle, or that of a lockfile for ``platform``.

    Raises what :func:`~bundler.reader.open.open_bundle` and :func:`~bundler.lockfiles.read.read_lock` raise, and
    :class:`VerificationError` if a bundle has no SBOM, an invalid one, or not the one that its manifest names.
    """
    return _of_bundle(path) if is_bundle(path) else _of_lockfile(path, platform)


def take_provenance(path: Path) -> bytes:
    """The provenance in a bundle, an in-toto statement. Raises what opening a bundle raises, and VerificationError."""
    bundle = open_bundle(path)
    content = document_of(bundle, "provenance")
    read_provenance(content, where=str(bundle.path))
    return content


def write_document(path: Path, content: bytes) -> None:
    """Write a command's output file. Raises :class:`PackError`."""
    try:
        write_file(path, content)
    except OSError as error:
        raise PackError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def is_bundle(path: Path) -> bool:
    """Whether it looks like a bundle: a directory, a tar or a script. Raises :class:`ConfigError` if unreadable."""
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return head[_TAR] == b"ustar" or head.startswith(b"#!/bin/sh\n")


def _of_bundle(path: Path) -> Inventory:
    document = document_of(open_bundle(path), "SBOM")
    return Inventory(document=document, sbom=read_sbom(document, where=f"{path}: {SBOM}"))


def _of_lockfile(path: Path, platform: str | None) -> Inventory:
    from bundler.sbom.document import make_sbom

    lockfiles = sort_lockfiles((path.absolute(),), where="command line")
    lock = read_lock(lockfiles, platform or _chosen(locked_platforms(lockfiles), path))
    facts = {package: facts_of(package) for package in lock.packages}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    document = make_sbom(
        Subject(
            name=path.name,
            version=digest[:12],
            platform=lock.platform,
            phase="pre-build",
            packages=lock.packages,
            facts=facts,
            properties=(("lockfile-sha256", digest),),
        )
    )
    missing = sum(about is None for about in facts.values())
    note = (
        f"the archives of {counted(missing, 'package')} of {len(facts)} are not in the cache: their licenses are not "
        "known, and which projects of PyPI they are is judged by their names; `build` fetches them"
    )
    sbom = read_sbom(document, where=str(path))
    return Inventory(document=document, sbom=sbom, notes=(note,) if missing else ())


def _chosen(platforms: tuple[str, ...], path: Path) -> str:
    if len(platforms) == 1 or _USUAL not in platforms:
        if len(platforms) == 1:
            return platforms[0]
        raise ConfigError(
            f"locked for {', '.join(platforms) or 'no platform at all'}",
            where=str(path),
            remedy="Say which: --platform",
        )
    return _USUAL

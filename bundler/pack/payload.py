"""Prefix and the user's own files -> the payload: ``env/``, ``app/`` and ``share/`` in one archive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import PackError
from bundler.pack.archive import TreeEntry, write_archive
from bundler.pack.collect import collect
from bundler.pack.members import Member, member_from, parents
from bundler.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.config import AppFile
    from bundler.prefix import Prefix
    from bundler.progress import Progress

__all__ = ["Payload", "app_members", "make_payload"]

_NOT_SHIPPED = ("__pycache__", ".git", ".hg", ".svn", ".mypy_cache", ".pytest_cache", ".ruff_cache")


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The written payload. ``tree`` is what it holds, sorted as written; sizes are bytes."""

    path: Path
    codec: str
    sha256: str
    size: int
    tree: tuple[TreeEntry, ...]

    @property
    def unpacked_size(self) -> int:
        return sum(entry.size for entry in self.tree)

    @property
    def unpacked_kib(self) -> int:
        """What a filesystem with 4 KiB blocks needs for it."""
        return sum(-(-entry.size // 4096) * 4 for entry in self.tree)

    @property
    def tree_digest(self) -> str:
        """SHA-256 over the sorted lines ``<mode> <digest or link target> <path>`` of all files and links."""
        digest = hashlib.sha256()
        for entry in sorted(self.tree, key=lambda entry: entry.path):
            digest.update(f"{entry.mode:o} {entry.digest} {entry.path}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def executables(self) -> frozenset[str]:
        """The paths below the release that can be run, links included."""
        return frozenset(entry.path for entry in self.tree if entry.mode & 0o111)


def make_payload(prefix: Prefix, app: tuple[Member, ...], goal: Path, progress: Progress) -> Payload:
    """Write the payload to ``goal``. Raises :class:`PackError` if a member is refused or the disk is full."""
    members = [*collect(prefix), *app, *_share()]
    members += parents([member.path for member in members])
    unique = {member.path: member for member in members}
    ordered = [unique[path] for path in sorted(unique, key=lambda path: (not unique[path].is_directory, path))]
    with progress.task(f"Packing {len(ordered)} files", len(ordered)) as advance:
        try:
            with goal.open("wb") as file:
                written = write_archive(ordered, file)
        except OSError as error:
            raise PackError(f"cannot be written: {error.strerror or error}", where=str(goal)) from error
        advance(len(ordered))
    return Payload(path=goal, codec="gzip", sha256=written.sha256, size=written.size, tree=written.tree)


def app_members(files: tuple[AppFile, ...]) -> tuple[Member, ...]:
    """The members below ``app/``: what ``[files]`` names, without caches and version control."""
    members: dict[str, Member] = {}
    for file in files:
        for source, path in _walk(file.source, f"app/{file.target}"):
            if path in members:
                raise PackError("two entries of [files] make this file", where=path)
            members[path] = member_from(source, path)
    return tuple(members.values())


def _walk(source: Path, path: str) -> list[tuple[Path, str]]:
    if source.is_symlink() or not source.is_dir():
        return [(source, path)]
    found = [] if any(source.iterdir()) else [(source, path)]
    for child in sorted(source.iterdir()):
        if child.name not in _NOT_SHIPPED:
            found += _walk(child, f"{path}/{child.name}")
    return found


def _share() -> list[Member]:
    """What the target needs beside the environment: the health probe."""
    probe = templates_dir() / "target" / "probe.sh"
    return [Member(path="share/probe", mode=0o755, content=probe.read_bytes())]

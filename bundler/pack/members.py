"""What a payload is made of: plain files, directories and links, and nothing else.

Design section 5, "plain trees only": no setuid, setgid or sticky bits, devices, FIFOs; no name that is absolute or
holds ``..``; no link that leaves the release. Modes are 0644 and 0755.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from bundler.errors import PackError
from bundler.pack.bytecode import unchecked

__all__ = ["Member", "TreeEntry", "link_member", "member_from", "parents"]

_FORBIDDEN_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry of the payload, by its path below the release.

    A file has a ``source`` to be read or its ``content``; a link has a ``link``; a directory has none of them.
    ``package`` is the conda package that alone decides its bytes; None if the baked prefix or something else does.
    ``sha256`` is the content's, where the package declares it and the linker has verified and not changed it.
    ``module`` is the source of a ``.pyc``, whose header is rewritten as it is read. ``mode_of_prefix`` and
    ``placeholder`` (its length in bytes) are what the package declares of the prefix in a file (paths.json).
    """

    path: str
    mode: int
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    package: str | None = None
    module: Path | None = None
    mode_of_prefix: Literal["text", "binary"] | None = None
    placeholder: int = 0
    sha256: str | None = None

    @property
    def is_directory(self) -> bool:
        return self.source is None and self.content is None and self.link is None

    def open(self) -> BinaryIO:
        """The file's bytes."""
        if self.content is not None:
            return io.BytesIO(self.content)
        assert self.source is not None
        if self.module is not None:
            return io.BytesIO(unchecked(self.source.read_bytes(), self.module.read_bytes()))
        return self.source.open("rb")

    def read(self) -> bytes:
        """All of the file's bytes at once."""
        with self.open() as file:
            return file.read()


@dataclass(frozen=True, kw_only=True)
class TreeEntry:
    """One member as it will stand on the target. ``digest`` is of the content, or the link's target as text."""

    path: str
    mode: int
    digest: str
    size: int


def member_from(source: Path, path: str) -> Member:
    """The member that ``source`` becomes at ``path``. Raises :class:`PackError` for what is not plain."""
    status = source.lstat()
    if stat.S_ISLNK(status.st_mode):
        return link_member(path, os.readlink(source))  # noqa: PTH115 -- pathlib would normalise the target's text
    if status.st_mode & _FORBIDDEN_BITS and not stat.S_ISDIR(status.st_mode):
        raise PackError(
            f"has a setuid, setgid or sticky bit (mode {stat.S_IMODE(status.st_mode):o})",
            where=path,
            remedy="A service's files need none: remove the bit, or leave the file out.",
        )
    if stat.S_ISDIR(status.st_mode):
        return Member(path=path, mode=0o755)
    if not stat.S_ISREG(status.st_mode):
        raise PackError("is a device, a FIFO or a socket", where=path, remedy="Leave it out.")
    return Member(path=path, mode=0o755 if status.st_mode & 0o111 else 0o644, source=source)


def parents(paths: list[str]) -> list[Member]:
    """The directories above ``paths``, each once, parents first."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return [Member(path=parent, mode=0o755) for parent in sorted(found)]


def link_member(path: str, target: str) -> Member:
    """A symbolic link at ``path``. Raises :class:`PackError` if it is absolute or leaves the release."""
    where = os.path.normpath(PurePosixPath(path).parent / target)
    if target.startswith("/") or where.startswith("../") or where == "..":
        raise PackError(
            f"is a symbolic link that leaves the release: {target}",
            where=path,
            remedy="Replace it by the file itself, or by a relative link to something in the bundle.",
        )
    return Member(path=path, mode=0o777, link=target)

"""The members of a payload: only plain files, directories and links.

No setuid, setgid or sticky bits, no devices or FIFOs; no names that are absolute or contain ``..``; no links out of the
release. Modes are 0644 and 0755.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from bundler.digests import sha256_of
from bundler.errors import DamagedCacheError, PackError
from bundler.pack.bytecode import PYC_HEADER, unchecked
from bundler.pack.known import Known
from bundler.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.elf import Elf
    from bundler.pack.known import Digest

__all__ = [
    "DIGESTS",
    "LINK_MODE",
    "Declared",
    "Kind",
    "Member",
    "TreeEntry",
    "as_bytes",
    "changed",
    "digest_list",
    "in_list",
    "link_member",
    "member_from",
    "parents",
    "tree_digest",
]

Kind: TypeAlias = Literal["bytecode", "library", "other"]
LINK_MODE = 0o777
DIGESTS = "share/digests"
"""The file in the payload with the digests of all other files."""
_ESCAPES = {byte: f"\\0{byte:03o}" for byte in (*range(1, 0o40), 0o177)} | {ord("\\"): "\\\\"}
_FORBIDDEN_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """The packages' declarations of a file in the prefix.

    ``sha256``: the allowed digests, from all packages with that path; none if there are no declarations. ``copies``:
    these packages (``name-version-build``) in the cache. ``mode`` and ``placeholder`` (its length in bytes) describe
    how the prefix was written into it, if it was.
    """

    sha256: tuple[str, ...]
    copies: tuple[str, ...]
    mode: Literal["text", "binary"] | None = None
    placeholder: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One entry of the payload, by its path below the release.

    A file has a ``source`` to be read (plain text: making a Path of each costs more than all else that is done with
    ten thousand of them), which had ``size`` bytes, or its ``content``; a link has a ``link``; a directory has none of
    them.
    ``package`` is the key of the package that alone decides its bytes; None if the baked prefix or something else does.
    ``module`` is the SHA-256 of the module that a ``.pyc`` was compiled from: its header is rewritten as it is read.
    """

    path: str
    mode: int
    source: str | None = None
    size: int = 0
    content: bytes | None = None
    link: str | None = None
    package: str | None = None
    module: str | None = None
    declared: Declared | None = None

    @property
    def is_directory(self) -> bool:
        return self.source is None and self.content is None and self.link is None

    @property
    def kind(self) -> Kind:
        """Its probable type, from its name."""
        if self.path.endswith(".pyc"):
            return "bytecode"
        return "library" if self.path.endswith(".so") or ".so." in self.path else "other"

    @property
    def length(self) -> int:
        """Its packed size in bytes."""
        return self.size if self.content is None else len(self.content)

    def open(self) -> BinaryIO:
        """The file's bytes, as they are packed."""
        if self.content is not None:
            return io.BytesIO(self.content)
        assert self.source is not None
        if self.module is not None:
            content = bytearray(self.size)
            self.fill(memoryview(content), Known())
            return io.BytesIO(content)
        try:
            return io.FileIO(self.source)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def fill(self, room: memoryview, known: Known) -> str:
        """Write the file's bytes, as they are packed, into ``room``, which is as long as they are; their SHA-256.

        Raises :class:`PackError` if the file is gone or has another length by now, :class:`DamagedCacheError` if it is
        not what packages declare.
        """
        if self.content is not None:
            room[:] = self.content
        else:
            assert self.source is not None
            try:
                file = os.open(self.source, os.O_RDONLY)
            except OSError as error:
                raise _unreadable(self.path, error) from error
            try:
                if os.readv(file, (room, bytearray(1))) != len(room):
                    raise changed(self.path)
            finally:
                os.close(file)
        if self.declared is not None and self.declared.sha256:
            digest = self.digest(known)
            digest.update(room)
            sha256 = self.checked(digest)
            if self.module is None:
                return sha256
        if self.module is not None:
            room[:PYC_HEADER] = unchecked(bytes(room[:PYC_HEADER]), self.module)
        return known.sha256(self.path, room)

    def digest(self, known: Known) -> Digest:
        """To be given all bytes of ``source``."""
        return known.digest(self.path, self.declared.sha256 if self.declared is not None else ())

    def checked(self, digest: Digest) -> str:
        """The SHA-256. Raises :class:`DamagedCacheError` if it is not one that packages declare for ``source``."""
        sha256 = digest.sha256()
        if sha256 is None:
            raise DamagedCacheError(self.path, packages=self.declared.copies if self.declared is not None else ())
        return sha256

    def read(self) -> bytes:
        """The whole content of the file."""
        with self.open() as file:
            return file.read()


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeEntry:
    """A member as it will be on the server. ``digest`` is that of the content, or the link's target.

    ``elf`` is the information for the dynamic loader, if it was read for packing and is an ELF object. ``marks`` are
    the signs that it generates code at run time (:func:`bundler.codemarks.code_marks`).
    """

    path: str
    mode: int
    digest: str
    size: int
    elf: Elf | None = None
    marks: tuple[str, ...] = ()

    @property
    def is_link(self) -> bool:
        return self.mode == LINK_MODE


def changed(path: str) -> PackError:
    """The error for a file that has changed during the build."""
    return PackError("changed while it was being packed", where=path)


def _unreadable(path: str, error: OSError) -> PackError:
    """What is to be said of a file that was there when it was looked for."""
    return PackError(f"can no longer be read: {error.strerror or error}", where=path, remedy="Build again.")


def tree_digest(entries: Iterable[TreeEntry]) -> str:
    """The digest over ``<mode> <digest or link target> <path>`` of all files and links, sorted by path."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    return sha256_of(as_bytes(f"{entry.mode:o} {entry.digest} {entry.path}\0") for entry in ordered)


def digest_list(entries: Iterable[TreeEntry]) -> bytes:
    """The SHA-256 of every file, sorted by path, in the format of ``templates/lib/tree.sh``.

    That is sha256sum(1)'s format, except for names with control characters, backslashes or arrows.
    """
    files = sorted((entry for entry in entries if entry.mode != LINK_MODE), key=lambda entry: entry.path)
    return as_bytes("".join(f"{entry.digest}  ./{in_list(entry.path)}\n" for entry in files))


def in_list(path: str) -> str:
    """A path or a link's target in a list, escaped for ``%b`` of printf(1)."""
    if path.isprintable() and "\\" not in path and " -> " not in path:
        return path
    written = path.translate(_ESCAPES)
    return written.replace(">", "\\0076") if " -> " in path else written


def as_bytes(text: str) -> bytes:
    """The bytes of a text that contains paths."""
    return text.encode("utf-8", "surrogateescape")


def member_from(
    source: str,
    path: str,
    *,
    status: os.stat_result | None = None,
    package: str | None = None,
    module: str | None = None,
    declared: Declared | None = None,
) -> Member:
    """The member for ``source`` at ``path``; ``status`` is its lstat, if the caller has it.

    Raises :class:`PackError` unless it is a plain file, directory or link.
    """
    status = status or os.lstat(source)
    mode = status.st_mode
    if stat.S_ISREG(mode) and not mode & _FORBIDDEN_BITS:
        plain = 0o755 if mode & 0o111 else 0o644
        return Member(
            path=path,
            mode=plain,
            source=source,
            size=status.st_size,
            package=package,
            module=module,
            declared=declared,
        )
    if stat.S_ISLNK(mode):
        return link_member(path, os.readlink(source), package=package)  # noqa: PTH115 -- see Member.source
    if stat.S_ISDIR(mode):
        return Member(path=path, mode=0o755, package=package)
    if stat.S_ISREG(mode):
        raise PackError(
            f"has a setuid, setgid or sticky bit (mode {stat.S_IMODE(mode):o})",
            where=path,
            remedy="Services do not need it: remove the bit, or exclude the file.",
        )
    raise PackError("is a device, a FIFO or a socket", where=path, remedy="Exclude it.")


def parents(paths: list[str]) -> list[Member]:
    """The directories above ``paths``, each once, parents first."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return [Member(path=parent, mode=0o755) for parent in sorted(found)]


def link_member(path: str, target: str, *, package: str | None = None) -> Member:
    """A symbolic link at ``path``. Raises :class:`PackError` if it is absolute or leaves the release."""
    where = os.path.normpath(PurePosixPath(path).parent / target)
    if target.startswith("/") or where.startswith("../") or where == "..":
        raise PackError(
            f"is a symbolic link to a path outside the release: {printable(target)}",
            where=path,
            remedy="Replace it with the file itself, or with a relative link to a path in the bundle.",
        )
    return Member(path=path, mode=LINK_MODE, link=target, package=package)

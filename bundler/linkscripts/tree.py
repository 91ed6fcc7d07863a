"""A copy of a linked environment that scripts may change, and the detection of their changes.

The linker's files are hard links into the package cache, which scripts must not change; so these are copies (reflinks,
if the file system supports them). Changes are detected by ctime, which programs cannot reset.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import shutil
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from bundler.digests import file_sha256
from bundler.errors import DamagedCacheError, PackError
from bundler.linkscripts.consent import without
from bundler.printable import printable
from bundler.scratch import entries, files_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Changes", "Content", "Declarations", "WorkingTree", "copy_tree"]

Declarations: TypeAlias = "Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]"
"""By path: the SHA-256 that packages declare for a linked file, and these packages (``name-version-build``)."""

_Stamp: TypeAlias = "tuple[int, int, int, int]"

_TICK = 0.02
"""Seconds; the coarsest clock for ctimes has a resolution of 10 ms."""
_CHUNK = 1 << 30
_FORBIDDEN_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_NOT_ALIKE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of file systems without support for copying in the kernel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """The content of a path: a file's SHA-256, a link's target (``link``), or neither for a directory."""

    executable: bool = False
    sha256: str = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Files and links below the prefix, sorted."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class WorkingTree:
    """A copy of ``linked`` at ``path``, which must not exist yet; its files belong to ``owner``, or to us.

    ``baked`` is its final path. ``contents`` has what scripts have changed so far; None for what they removed.
    """

    def __init__(self, linked: Path, path: Path, baked: str, *, owner: int | None) -> None:
        self.path = path
        self.contents: dict[str, Content | None] = {}
        self._linked = linked
        self._baked = baked
        self._owner = owner
        self._made: set[str] = set()
        self._make_directory("")
        self._seen = self._scan()

    def fill(self, paths: Iterable[str]) -> None:
        """Copy these files of the linked environment, replacing those of scripts. Raises :class:`PackError`."""
        self._made = {""}  # scripts may have replaced directories that were created before
        with _translated(self.path):
            for path in paths:
                self._make_parents(path)
                target = self.path / path
                if path in self._seen:
                    target.unlink()
                    self.contents.pop(path, None)
                _copy(self._linked / path, target, self._owner)
        self._seen = self._scan()
        time.sleep(_TICK)  # so that later changes have a different ctime

    def changes(self, package: str, declared: Declarations) -> Changes:
        """The changes since the last call, or since it was filled.

        Raises :class:`PackError`, which names ``package``, for files that cannot be packed;
        :class:`DamagedCacheError` if a changed or removed file did not match its package's declaration before.
        """
        after = self._scan()
        found: dict[str, list[str]] = {"added": [], "changed": [], "removed": []}
        for path in sorted(after.keys() | self._seen.keys()):
            if after.get(path) == self._seen.get(path):
                continue
            if path not in self._seen and path.endswith(".pyc") and "__pycache__/" in path:
                (self.path / path).unlink()  # the build compiles its own, without timestamps
                continue
            if path.startswith("conda-meta/") and path.endswith(".json"):
                raise _refused(package, path, "is reserved for conda's package records")
            before = self._before(path, declared)
            content = self._content(path, package) if path in after else None
            if content != before:
                self.contents[path] = content
                kind = "added" if before is None else "removed" if content is None else "changed"
                found[kind].append(path)
        self._seen = self._scan()
        files = {kind: tuple(path for path in paths if not path.endswith("/")) for kind, paths in found.items()}
        return Changes(**files)

    def take(self, name: str, limit: int) -> str:
        """Read the beginning of the text file ``name`` and remove it. Anything but a file is removed unread."""
        path = self.path / name
        try:
            if path.is_dir() and not path.is_symlink():
                return ""
            content = b""
            if stat.S_ISREG(path.lstat().st_mode):
                path.chmod(0o644)
                with path.open("rb") as file:
                    content = file.read(limit)
            path.unlink()
        except FileNotFoundError:
            return ""
        return content.decode("utf-8", "replace")

    def _before(self, path: str, declared: Declarations) -> Content | None:
        if path in self.contents:
            return self.contents[path]
        if path not in self._seen:
            return None
        if path.endswith("/"):
            return Content()
        content = _content_of(self._linked / path)
        digests, copies = declared.get(path, ((), ()))
        if digests and content.sha256 and content.sha256 not in digests:
            raise DamagedCacheError(path, packages=copies)
        return content

    def _content(self, path: str, package: str) -> Content:
        """The current content of ``path``. Raises :class:`PackError` if it cannot be packed."""
        if not path.isprintable():
            raise _refused(package, path, "has a name with unprintable characters")
        if path.endswith("/"):
            return Content()
        place = self.path / path
        mode = place.lstat().st_mode
        if stat.S_ISLNK(mode):
            self._check_link(path, package)
        elif not stat.S_ISREG(mode):
            raise _refused(package, path, "is a device, a FIFO or a socket")
        elif mode & _FORBIDDEN_BITS:
            raise _refused(package, path, f"has a setuid, setgid or sticky bit (mode {stat.S_IMODE(mode):o})")
        elif not mode & stat.S_IRUSR:
            place.chmod(stat.S_IMODE(mode) | stat.S_IRUSR)
        return _content_of(place)

    def _check_link(self, path: str, package: str) -> None:
        """Check a link's target. An absolute link into the prefix is allowed: it is packed as a relative one."""
        target = _target(self.path / path)
        where = posixpath.normpath(posixpath.join(self._baked, posixpath.dirname(path), target))
        if where != self._baked and not where.startswith(f"{self._baked}/"):
            raise _refused(package, path, f"is a symbolic link to a path outside the environment: {printable(target)}")

    def _make_parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if parent not in self._made:
            self._make_parents(parent)
            self._make_directory(parent)
            self._made.add(parent)

    def _make_directory(self, path: str) -> None:
        """Create it, unless it exists. Replace a link, which would lead our copies out of the tree."""
        place = self.path / path
        try:
            place.mkdir(mode=0o755)
        except FileExistsError:
            if not stat.S_ISDIR(place.lstat().st_mode):
                raise PackError("a pre-link script replaced a package's directory", where=path) from None
            return
        place.chmod(0o755)  # whatever the umask
        if self._owner is not None:
            os.chown(place, self._owner, self._owner, follow_symlinks=False)

    def _scan(self) -> dict[str, _Stamp]:
        """All paths, without following links; directories end in a slash."""
        found: dict[str, _Stamp] = {}
        pending = [""]
        while pending:
            directory = pending.pop()
            for entry in entries(self.path / directory):
                path = f"{directory}{entry.name}"
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(f"{path}/")
                    found[f"{path}/"] = (0, 0, 0, 0)
                else:
                    found[path] = (status.st_mode, status.st_ino, status.st_size, status.st_ctime_ns)
        return found


def copy_tree(source: Path, target: Path, *, owner: int | None) -> None:
    """Copy a directory to ``target``, which must not exist yet."""
    WorkingTree(source, target, "", owner=owner).fill(files_below(source))


def _copy(source: Path, target: Path, owner: int | None) -> None:
    """Copy a file or link with its mtime; the copy of a file is writable by its owner."""
    status = source.lstat()
    if stat.S_ISLNK(status.st_mode):
        target.symlink_to(_target(source))
    else:
        with source.open("rb") as old, target.open("xb") as new:
            try:
                while os.copy_file_range(old.fileno(), new.fileno(), _CHUNK):
                    pass
            except OSError as error:
                if error.errno not in _NOT_ALIKE:
                    raise
                shutil.copyfileobj(old, new)
    if owner is not None:
        os.chown(target, owner, owner, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        target.chmod(stat.S_IMODE(status.st_mode) | stat.S_IRUSR | stat.S_IWUSR)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _content_of(path: Path) -> Content:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return Content(link=_target(path))
    return Content(executable=bool(mode & 0o111), sha256=file_sha256(path))


def _target(link: Path) -> str:
    return os.readlink(link)  # noqa: PTH115 -- pathlib would normalise the text


def _refused(package: str, path: str, reason: str) -> PackError:
    return PackError(
        f"its link script wrote {printable(path)}, which {reason}",
        where=package,
        remedy=f"It cannot be packed: use another build of {package}, or {without(package)}.",
    )


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PackError(
            f"the environment cannot be copied for its link scripts: {error.strerror or error}",
            where=str(path),
            remedy="Free some space there, or set CONDA_BUNDLER_CACHE to another directory for the caches.",
        ) from error

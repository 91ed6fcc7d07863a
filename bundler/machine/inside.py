"""Files on a machine, reached from the host as the machine sees them.

While it runs the kernel resolves every path below the machine's root (openat2(2)): no link leads out of it, not even
one that is laid there between two looks.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError, SmokeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["chmod_inside", "read_inside", "resolve_inside", "write_inside"]

_OPENAT2 = 437  # its number on every architecture; Linux 5.6
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_LINKS = 40  # as many as the kernel follows
_MOST = 64 << 20  # bytes that are read of one file


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def read_inside(root: Path, target: str) -> bytes | None:
    """A plain file's content, None if there is no such file. Raises SmokeError if it is too large to be true."""
    try:
        # A pipe in its place must not keep us waiting.
        descriptor = _open(root, target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(_MOST + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if len(content) > _MOST:
        raise SmokeError(f"{target} on the machine is larger than {_MOST >> 20} MiB")
    return content


def write_inside(root: Path, target: str, content: bytes, *, mode: int, owner: int) -> None:
    """Write a file of ``owner``'s, an id of the host's; a missing directory is made, 0755 whatever our umask is."""
    try:
        _make_directory(root, PurePosixPath(target).parent, owner)
        descriptor = _open(root, target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, mode=0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), owner, owner)
            os.fchmod(file.fileno(), mode)
    except OSError as error:
        raise SmokeError(f"cannot write {target} on the machine: {error.strerror}") from error


def chmod_inside(root: Path, target: str, mode: int) -> None:
    """Give a plain file a mode. Raises OSError."""
    descriptor = _open(root, target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def resolve_inside(root: Path, target: str) -> Path:
    """``target`` in a tree where nothing runs, links followed as from inside: an absolute one begins at ``root``."""
    path, rest, links = root, list(PurePosixPath(target).parts), 0
    while rest:
        part = rest.pop(0)
        if part == "/":
            path = root
        elif part == "..":
            path = path if path == root else path.parent
        elif (path / part).is_symlink():
            links += 1
            if links > _LINKS:
                raise SmokeError(f"too many levels of symbolic links: {target}")
            rest = [*(path / part).readlink().parts, *rest]
        else:
            path = path / part
    return path


def _make_directory(root: Path, path: PurePosixPath, owner: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.close(_open(root, str(path), os.O_PATH | os.O_DIRECTORY))
        return
    _make_directory(root, path.parent, owner)
    with _directory(root, path.parent) as parent:
        os.mkdir(path.name, 0o700, dir_fd=parent)
    descriptor = _open(root, str(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fchown(descriptor, owner, owner)
        os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _directory(root: Path, path: PurePosixPath) -> Iterator[int]:
    descriptor = _open(root, str(path), os.O_PATH | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(root: Path, target: str, flags: int, *, mode: int = 0) -> int:
    """openat2(2) below ``root``. Raises OSError as os.open does, SmokeError at a loop of links."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    path = os.fsencode(target)
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            libc = ctypes.CDLL(None, use_errno=True)
            descriptor: int = libc.syscall(
                ctypes.c_long(_OPENAT2), ctypes.c_int(top), path, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
            )
            if descriptor >= 0:
                return descriptor
            number = ctypes.get_errno()
            if number not in {errno.EINTR, errno.EAGAIN}:  # EAGAIN: something was renamed meanwhile
                break
    finally:
        os.close(top)
    if number == errno.ELOOP:
        raise SmokeError(f"too many levels of symbolic links: {target}")
    if number == errno.ENOSYS:
        raise MissingToolError(
            "this kernel does not support openat2, which is required to access a machine's files",
            remedy="Boot Linux 5.6 or newer; in a container, run it privileged.",
        )
    raise OSError(number, os.strerror(number), target)

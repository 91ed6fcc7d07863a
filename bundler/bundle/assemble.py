"""Assemble a bundle from payload, units and other files, and give it its final name when it is complete.

Everything is written to a temporary name next to the final one, synced and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.atomic import sync_directory
from bundler.errors import PackError
from bundler.installer.render import RunScript, render_run
from bundler.tar.write import DIRECTORY, END, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.bundle.identity import Identity

__all__ = ["Bundle", "checksums", "place", "workspace", "write_files"]

INSTALL = "install.sh"
MANAGE = "manage"
SUMS = "SHA256SUMS"
_PREFERRED = (INSTALL, "manifest.json", SUMS)
"""The first members of the tar, so that its beginning shows what it is; the payload is last."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A finished bundle. ``sha256`` is that of the file; None for a directory."""

    path: Path
    sha256: str | None
    identity: Identity
    size: int

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "path": str(self.path),
            "sha256": self.sha256,
            "size": self.size,
            "name": self.identity.name,
            "version": self.identity.version,
            "platform": self.identity.platform,
            "release": self.identity.release,
        }


@contextlib.contextmanager
def workspace(output: Path, identity: Identity) -> Iterator[Path]:
    """A hidden directory in ``output`` to build in, on the same file system; removed at the end."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(prefix=f".{identity.bundle_name}.", dir=output)
    except OSError as error:
        raise PackError(f"cannot be written: {error.strerror}", where=str(output)) from error
    with room as path:
        yield Path(path)


def write_files(room: Path, files: Mapping[str, bytes]) -> None:
    """Write the bundle's small files below ``room``."""
    for name, content in files.items():
        path = room / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def checksums(digests: Mapping[str, str]) -> bytes:
    """SHA256SUMS in the format of sha256sum(1), sorted by path."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())).encode()


def place(room: Path, identity: Identity, output: Path, *, form: str) -> Bundle:
    """Turn ``room`` into the bundle in ``output``: ``form`` is ``tar``, ``run`` or ``dir``."""
    size = sum(path.stat().st_size for path in room.rglob("*") if path.is_file())
    goal = output / (identity.bundle_name + ("" if form == "dir" else f".{form}"))
    try:
        if form == "dir":
            _set_modes(room)
            _replace_directory(room, goal)
            return Bundle(path=goal, sha256=None, identity=identity, size=size)
        digest = _place_file(room, identity, goal, form=form)
        return Bundle(path=goal, sha256=digest, identity=identity, size=goal.stat().st_size)
    except OSError as error:
        raise PackError(f"cannot be written: {error.strerror or error}", where=str(goal)) from error


def _place_file(room: Path, identity: Identity, goal: Path, *, form: str) -> str:
    top, temporary, digest = identity.bundle_name, room / f".bundle.{form}", hashlib.sha256()
    with temporary.open("wb") as file:
        for piece in itertools.chain(_starter(room, top) if form == "run" else (), _head(room, top), _tail(room, top)):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if form == "run":
        readable = temporary.stat().st_mode & 0o444
        temporary.chmod(temporary.stat().st_mode | readable >> 2)  # everyone who may read it may execute it
    note = room / ".sha256"
    note.write_text(f"{digest.hexdigest()}  {goal.name}\n")
    sidecar = goal.with_name(f"{goal.name}.sha256")
    sidecar.unlink(
        missing_ok=True
    )  # so that a kill between the renames does not leave the checksum of a different file
    temporary.replace(goal)
    note.replace(sidecar)
    sync_directory(goal.parent)
    return digest.hexdigest()


def _starter(room: Path, top: str) -> Iterator[bytes]:
    """The script at the beginning of a ``.run``, with the offsets of files in the tar after it."""
    head = b"".join(_head(room, top))
    payload = _payload(room).stat().st_size
    entry = next(_tail(room, top))
    yield render_run(
        RunScript(
            bundle=top,
            head=len(head),
            head_sha256=hashlib.sha256(head).hexdigest(),
            payload=len(head) + len(entry),
            payload_size=payload,
            tar_size=len(head) + len(entry) + payload + len(tar_padding(payload)) + len(END),
        )
    )


def _head(room: Path, top: str) -> Iterator[bytes]:
    """Write an uncompressed tar (the payload is compressed already), with the payload last."""
    yield tar_header(top, 0o755, kind=DIRECTORY)
    for name in sorted(path.relative_to(room).as_posix() for path in room.rglob("*") if path.is_dir()):
        yield tar_header(f"{top}/{name}", 0o755, kind=DIRECTORY)
    for path in _small_files(room):
        yield from _entry(path, f"{top}/{path.relative_to(room).as_posix()}")


def _tail(room: Path, top: str) -> Iterator[bytes]:
    payload = _payload(room)
    yield from _entry(payload, f"{top}/{payload.name}")
    yield END


def _entry(path: Path, name: str) -> Iterator[bytes]:
    size = path.stat().st_size
    yield tar_header(name, _mode(path), size=size)
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            yield block
    yield tar_padding(size)


def _payload(room: Path) -> Path:
    (payload,) = room.glob("payload.*")
    return payload


def _small_files(room: Path) -> list[Path]:
    def rank(path: Path) -> tuple[int, str]:
        name = path.relative_to(room).as_posix()
        return (_PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED), name)

    left_out = _payload(room)
    files = (path for path in room.rglob("*") if path.is_file() and not path.name.startswith(".") and path != left_out)
    return sorted(files, key=rank)


def _mode(path: Path) -> int:
    return 0o755 if path.name in (INSTALL, MANAGE) or path.is_dir() else 0o644


def _set_modes(room: Path) -> None:
    """Set the modes, independently of the umask."""
    for path in [room, *room.rglob("*")]:
        path.chmod(_mode(path))


def _replace_directory(room: Path, goal: Path) -> None:
    """Rename ``room`` to ``goal``; an old directory is removed only when the new one is in place."""
    fresh = Path(tempfile.mkdtemp(prefix=".new.", dir=goal.parent))
    for child in room.iterdir():
        child.replace(fresh / child.name)
    fresh.chmod(0o755)
    if goal.exists():
        old = Path(tempfile.mkdtemp(prefix=".old.", dir=goal.parent))
        goal.replace(old)
        fresh.replace(goal)
        shutil.rmtree(old)
    else:
        fresh.replace(goal)
    sync_directory(goal.parent)

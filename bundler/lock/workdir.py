"""The temporary directory in which conda-lock and uv work."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.lock.environment.check import Environment

__all__ = ["Room", "is_noexec", "make_room", "where_programs_run"]


@dataclass(frozen=True, kw_only=True)
class Room:
    """A temporary directory where copies of the environment.yml and the lockfile stand to each other as the user's do.

    So conda-lock writes the right names into the lockfile, and works on nothing that is the user's. ``names`` is an
    empty table of names: without one conda-lock would download its own. ``virtual`` is where the channel of virtual
    packages is kept that conda-lock makes, ``tools`` where our solver puts what bundles bring to install themselves,
    ``relations`` where it puts which channels it has taken in because others name them, ``asked`` what it was asked and
    what it answered, ``report`` the file with why it failed; the last line of ``status`` is what is being done.
    """

    path: Path
    names: Path
    virtual: Path
    tools: Path
    relations: Path
    asked: Path
    report: Path
    status: Path
    environments: tuple[Path, ...]
    lockfile: Path


@contextmanager
def make_room(lockfile: Path, environment: Environment) -> Iterator[Room]:
    """The directory for ``lockfile`` and the files of ``environment``, until the end of the ``with`` block."""
    lockfile = lockfile.absolute()
    relatives = [_from(lockfile.parent, path.absolute()) for path, _ in environment.files]
    with tempfile.TemporaryDirectory(prefix="conda-bundler-lock-", dir=where_programs_run()) as temporary:
        path = Path(temporary).resolve()
        # one directory down for every `..` on the way from the lockfile to an environment.yml
        down = max(relative.parts.count("..") for relative in relatives)
        directory = path.joinpath("files", *[".lockfile"] * down)
        room = Room(
            path=path,
            names=path / "names.json",
            virtual=path / "virtual",
            tools=path / "tools",
            relations=path / "relations",
            asked=path / "questions",
            report=path / "report.json",
            status=path / "status",
            environments=tuple(Path(os.path.normpath(directory / relative)) for relative in relatives),
            lockfile=directory / lockfile.name,
        )
        copies = (copy.parent for copy in room.environments)
        for place in (directory, *copies, path / "tmp", room.tools, room.relations, room.asked):
            place.mkdir(parents=True, exist_ok=True)
        room.names.write_text("{}", encoding="utf-8")
        yield room


def _from(directory: Path, path: Path) -> Path:
    """The way from ``directory`` to the file ``path``, which may itself be a link."""
    return Path(os.path.relpath(path.parent.resolve(), directory.resolve()), path.name)


def where_programs_run() -> Path:
    """A directory for temporary ones: conda-lock has to run our launcher, and some machines mount /tmp noexec."""
    usual = Path(tempfile.gettempdir())
    directory = cache_dir("lock") if is_noexec(usual) else usual
    if is_noexec(directory):
        raise MissingToolError(
            f"programs cannot run from {usual} or {directory}",
            remedy="Set TMPDIR to a directory on a file system that allows it.",
        )
    return directory


def is_noexec(directory: Path) -> bool:
    """Whether the machine runs no program from there."""
    return bool(os.statvfs(directory).f_flag & os.ST_NOEXEC)

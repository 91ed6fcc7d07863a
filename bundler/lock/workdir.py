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
    """A temporary directory with copies of the environment.yml and the lockfile at the same relative paths.

    So conda-lock writes the right paths into the lockfile, but does not touch the user's files. ``names`` is an empty
    table of names: without one, conda-lock would download its own. ``virtual`` is for conda-lock's channel of virtual
    packages, ``tools`` for the packages of bundles' decompressor, ``relations`` for the related channels that were
    added, ``asked`` for the solver's questions and answers, ``report`` for the reason of a failure; the last line of
    ``status`` is the current activity.
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
    """A working directory for ``lockfile`` and the files of ``environment``, for the ``with`` block."""
    lockfile = lockfile.absolute()
    relatives = [_from(lockfile.parent, path.absolute()) for path, _ in environment.files]
    with tempfile.TemporaryDirectory(prefix="conda-bundler-lock-", dir=where_programs_run()) as temporary:
        path = Path(temporary).resolve()
        # one subdirectory for each `..` in the path from the lockfile to an environment.yml
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
    """The relative path from ``directory`` to the file ``path``, which may itself be a link."""
    return Path(os.path.relpath(path.parent.resolve(), directory.resolve()), path.name)


def where_programs_run() -> Path:
    """A directory for temporary programs: conda-lock has to run our launcher, and some machines mount /tmp noexec."""
    usual = Path(tempfile.gettempdir())
    directory = cache_dir("lock") if is_noexec(usual) else usual
    if is_noexec(directory):
        raise MissingToolError(
            f"programs cannot run from {usual} or {directory}",
            remedy="Set TMPDIR to a directory on a file system that allows it.",
        )
    return directory


def is_noexec(directory: Path) -> bool:
    """Whether programs cannot run from there."""
    return bool(os.statvfs(directory).f_flag & os.ST_NOEXEC)

"""``conda-bundler init``: the files that a project can start from, in templates/init/."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.config.overrides import CONFIG_NAME
from bundler.config.patterns import NAME
from bundler.errors import ConfigError
from bundler.installer.render import render_init
from bundler.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEFAULT", "STARTING_POINTS", "bundle_name", "start"]

STARTING_POINTS = ("asgi", "elixir", "job", "jupyter", "service")
DEFAULT = "service"
_LONGEST = 31


def start(directory: Path, starting_point: str) -> tuple[Path, ...]:
    """Write a starting point's files into ``directory``, which may be there or not; the files that were written.

    Raises :class:`ConfigError` if one of them is there already, and writes nothing then.
    """
    name = bundle_name(directory)
    files = {directory / path: text for path, text in _files(starting_point, name).items()}
    taken = [str(path.relative_to(directory)) for path in files if path.exists() or path.is_symlink()]
    if taken:
        raise ConfigError(
            f"already exists: {', '.join(taken)}",
            where=str(directory),
            remedy="Nothing was written. Choose another directory, or move these files away.",
        )
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(error.filename or directory)) from error
    return tuple(files)


def bundle_name(directory: Path) -> str:
    """The directory's name as far as a bundle can have it. Raises :class:`ConfigError` if nothing is left of it."""
    plain = re.sub(r"[^a-z0-9]+", "-", directory.resolve().name.lower()).lstrip("-0123456789")
    name = plain[:_LONGEST].rstrip("-")
    if not re.match(NAME, name):
        raise ConfigError(
            f"cannot be used as a bundle's name; names match {NAME}",
            where=str(directory),
            remedy="Choose a directory with a valid bundle name: conda-bundler init my-service",
        )
    return name


def _files(starting_point: str, name: str) -> dict[str, str]:
    """By their path below the project, :data:`~bundler.config.project.CONFIG_NAME` first."""
    room = templates_dir() / "init" / starting_point
    paths = sorted(path.relative_to(room).as_posix() for path in room.rglob("*") if path.is_file())
    found = {
        path.removesuffix(".j2"): render_init(f"{starting_point}/{path}", name=name)
        if path.endswith(".j2")
        else (room / path).read_text(encoding="utf-8")
        for path in paths
        if "__pycache__" not in path
    }
    return {CONFIG_NAME: found.pop(CONFIG_NAME)} | found

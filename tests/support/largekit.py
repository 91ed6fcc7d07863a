"""Two environments of several gigabytes, as people install them: what each is, and what was measured of it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from examplekit import CHECKOUT, debian_channel
from wheelindex import fetch_wheels, make_index

from benchmarks.measure import Sample, measure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ROOM",
    "SERVER",
    "SERVICE",
    "TABLE",
    "Large",
    "bundler",
    "make_project",
    "prepare_index",
    "record",
    "render_table",
    "seconds",
]

ROOM = CHECKOUT / "build" / "large"
"""Kept from run to run: the wheels. Made anew: all else."""
TABLE: dict[str, dict[str, str]] = {}
"""Figures by environment and column."""
_COLUMNS = ("wheels", "lock", "build", "peak memory", "bundle", "unpacked", "first install", "verify", "upgrade")


@dataclass(frozen=True, kw_only=True)
class Large:
    """An environment. ``suite`` is the Debian whose Python and glibc the local channel has for it.

    ``own_file`` is a file of the project's own, which a second version changes.
    """

    name: str
    suite: str
    python: str
    glibc: int
    port: int
    imports: tuple[str, ...]
    own_file: str

    @property
    def source(self) -> Path:
        """The project as it is committed."""
        return Path(__file__).parents[1] / "large" / self.name

    @property
    def wheels(self) -> Path:
        return ROOM / f"wheels-{self.name}"

    def channel(self) -> Path:
        return debian_channel(self.suite)


SERVER = Large(
    name="ai-server",
    suite="bullseye",
    python="3.9",
    glibc=31,
    port=8888,
    imports=("torch", "tensorflow", "pandas", "matplotlib"),
    own_file="jupyter_server_config.py",
)
SERVICE = Large(
    name="ai-service",
    suite="bookworm",
    python="3.11",
    glibc=35,
    port=8000,
    imports=("torch", "transformers", "accelerate", "fastapi", "uvicorn"),
    own_file="service.py",
)


def prepare_index(large: Large) -> Path:
    """The wheels of ``large`` as an index that can be served; fetched from PyPI unless they are here."""
    ROOM.mkdir(parents=True, exist_ok=True)
    fetch_wheels(large.source / "wheels.txt", large.wheels, python=large.python, glibc=large.glibc)
    index = ROOM / f"index-{large.name}"
    make_index(large.wheels, index)
    return index


def make_project(large: Large, index_url: str, target: Path) -> Path:
    """The project, with the index on loopback in the place of PyPI."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(large.source, target, ignore=shutil.ignore_patterns("wheels.txt"))
    with (target / "environment.yml").open("a", encoding="utf-8") as file:
        file.write(f"pip-repositories: [{index_url}]\nallow-pypi-requests: false\n")
    return target


def bundler(*words: str | Path) -> Sample:
    """Run conda-bundler and measure it. Raises :class:`benchmarks.measure.BenchError`, with its output, if it fails."""
    environ: Mapping[str, str] = {**os.environ, "CONDA_BUNDLER_CACHE": str(ROOM / "cache")}
    name = f"conda-bundler {words[0]}"
    return measure(name, (sys.executable, "-m", "bundler", *words), environ, ROOM / "log")


def record(large: Large, column: str, value: str) -> None:
    TABLE.setdefault(large.name, {})[column] = value


def seconds(sample: Sample) -> str:
    """On the clock, and of CPU: the first depends on what else the machine does."""
    return f"{sample.wall:.0f} s ({sample.cpu:.0f} s)"


def render_table() -> str:
    """What was measured, in Markdown."""
    rows = [("environment", *_COLUMNS), ("---", *("---:" for _ in _COLUMNS))]
    rows += [(name, *(figures.get(column, "") for column in _COLUMNS)) for name, figures in TABLE.items()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)

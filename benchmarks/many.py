"""What is measured of many packages: how fast they come over a line, and how three times as many grow."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.installing import stage_script
from benchmarks.measure import BenchError, Subject
from benchmarks.subjects import put_aside
from bundler.process import run, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.environments import Environment, World

__all__ = ["OURS", "THEIRS", "fetching", "growing_many", "served"]

OURS, THEIRS = "ours: fetch, hash, keep, link", "rattler.install"
_DRIVERS = Path(__file__).parent / "drivers"


@contextmanager
def fetching(world: World, environment: Environment) -> Iterator[tuple[Subject, ...]]:
    """Both ways to make a prefix of packages that an HTTP server on loopback has, with empty caches."""
    room = world.fresh(f"{environment.name} fetched")
    with served(world.room / "channel") as url:
        lockfile = room / "conda-lock.yml"
        text = environment.lockfile.read_text(encoding="utf-8")
        lockfile.write_text(text.replace((world.room / "channel").as_uri(), url), encoding="utf-8")
        yield tuple(_fetch(name, word, lockfile, room / word) for name, word in ((OURS, "ours"), (THEIRS, "theirs")))


def _fetch(name: str, word: str, lockfile: Path, room: Path) -> Subject:
    argv = (sys.executable, _DRIVERS / "fetch.py", word, lockfile, room)

    def before() -> None:
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()

    return Subject(name=name, argv=argv, before=before)


@contextmanager
def served(channel: Path) -> Iterator[str]:
    """A directory on loopback, by a process of its own, whose time is nobody's."""
    server = start([sys.executable, _DRIVERS / "serve.py", channel])
    try:
        port = server.read_line().strip()
        if not port.isdigit():
            raise BenchError("does not start", where="the server of the channel")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()


def growing_many(world: World, names: tuple[str, str], *, install: bool) -> tuple[Subject, ...]:
    """Lock, build and, if asked, install, for a smaller environment and a larger one."""
    return tuple(subject for name in names for subject in _steps(world, world.environments[name], install=install))


def _steps(world: World, environment: Environment, *, install: bool) -> Iterator[Subject]:
    name = environment.name
    command = (sys.executable, "-m", "bundler")
    lock = (*command, "lock", environment.project, *world.build_options, "--quiet")
    yield Subject(name=f"lock, {name}", argv=lock, before=lambda: None)
    bundles = world.fresh(f"{name} bundle")
    options = ("--format", "dir", "--output-dir", bundles, "--quiet")
    build = (*command, "build", environment.project, *world.build_options, *options)
    yield Subject(name=f"build, {name}", argv=build, before=lambda: _empty(world.segments, bundles))
    if install:
        run(build, env=world.environ)
        (bundle,) = bundles.iterdir()
        root = world.fresh(f"{name} installed") / "root"
        script = stage_script(bundle, root)
        before = lambda: put_aside(root / "releases", root / "work")  # noqa: E731
        yield Subject(name=f"install, {name}", argv=("sh", script), before=before)


def _empty(*directories: Path) -> None:
    """Segments and bundle are made anew; the packages are in the caches."""
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

"""The processes that are compared: how to build, how to build again, how to install."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.installing import BROUGHT, GZIP_ALONE, stage_script
from benchmarks.measure import Subject
from bundler.process import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.environments import Environment, World

__all__ = ["FIRST_BUILD", "builds", "growing", "installs", "ours", "put_aside", "rebuilds", "smaller_builds"]

FIRST_BUILD = "ours, gzip, first build"
_DRIVERS = Path(__file__).parent / "drivers"


def builds(world: World, environment: Environment) -> tuple[Subject, ...]:
    """Every way to build, ours from empty segments."""
    return (
        *smaller_builds(world, environment),
        _first_build(world, environment),
        _conda_pack(world, environment, jobs=2),
        _tar_zstd(world, environment),
        _command(world, environment, "gzip"),
        _command(world, environment, "zstd"),
        ours(world, environment, "gzip", bytecode="build"),
    )


def smaller_builds(world: World, environment: Environment) -> tuple[Subject, ...]:
    """Ours and conda-pack's default."""
    return (
        ours(world, environment, "gzip"),
        ours(world, environment, "zstd"),
        _conda_pack(world, environment, jobs=1),
    )


def rebuilds(world: World, base: Environment, changed: Environment) -> tuple[Subject, ...]:
    """Ours from the segments that a build of ``base`` left: unchanged, and with one small package changed.

    The first build is among them, so that what is compared with it was measured beside it.
    """
    first, second = _first_build(world, base), ours(world, changed, "gzip")
    for once in (second, first):  # the second is only to have its packages in the caches
        once.before()
        run(once.argv, env=world.environ)
    snapshot = world.room / "segments" / base.name
    shutil.rmtree(snapshot, ignore_errors=True)
    shutil.copytree(world.segments, snapshot, copy_function=os.link)
    return (
        first,
        replace(first, name="ours, gzip, unchanged", before=_restored(world, snapshot, first.output)),
        replace(second, name="ours, gzip, one package changed", before=_restored(world, snapshot, second.output)),
    )


def growing(world: World, small: Environment, large: Environment) -> tuple[Subject, ...]:
    """Builds of ``large``, and those of ``small`` beside them that they are compared with."""
    beside = (replace(subject, name=f"{subject.name}, 1x") for subject in smaller_builds(world, small)[:2])
    return (*smaller_builds(world, large), *beside)


def ours(world: World, environment: Environment, codec: str, *, bytecode: str = "none") -> Subject:
    """Link and payload, with empty segments, of packages whose files were packed before: see bundler.pack.known."""
    suffix = "" if bytecode == "none" else ", with bytecode"
    goal = world.fresh(f"{environment.name} ours {codec} {bytecode}")
    driver = (sys.executable, _DRIVERS / "ours.py", environment.lockfile, goal, codec, bytecode)
    return Subject(name=f"ours, {codec}{suffix}", argv=driver, before=lambda: _empty(world.segments, goal), output=goal)


def _first_build(world: World, environment: Environment) -> Subject:
    """Of packages that were unpacked and never packed."""
    again = ours(world, environment, "gzip")

    def before() -> None:
        again.before()
        _empty(world.checks)

    return replace(again, name=FIRST_BUILD, before=before)


def _command(world: World, environment: Environment, codec: str) -> Subject:
    goal = world.room / "bundles" / codec
    words = (sys.executable, "-m", "bundler", "build", environment.project, *world.build_options)
    options = ("--format", "dir", "--compression", codec, "--output-dir", goal, "--quiet")
    before = lambda: _empty(world.segments, goal)  # noqa: E731 -- as in its neighbours
    return Subject(name=f"conda-bundler build, {codec}", argv=(*words, *options), before=before, output=goal)


def _conda_pack(world: World, environment: Environment, *, jobs: int) -> Subject:
    goal = world.fresh(f"{environment.name} conda-pack {jobs}")
    driver = (sys.executable, _DRIVERS / "theirs.py", "pack", environment.lockfile, goal / "env.tar.gz", str(jobs))
    name = "conda-pack" if jobs == 1 else f"conda-pack -j {jobs}"
    return Subject(name=f"rattler + {name}", argv=driver, before=lambda: _empty(goal), output=goal)


def _tar_zstd(world: World, environment: Environment) -> Subject:
    goal = world.fresh(f"{environment.name} tar zstd")
    prefix = world.room / "cache" / "prefix" / "tar-zstd"
    script = '"$1" "$2" link "$3" "$4" && tar -C "$4" -cf - . | zstd -T0 -q -o "$5" && rm -r "$4"'
    driver = (sys.executable, _DRIVERS / "theirs.py", environment.lockfile, prefix, goal / "env.tar.zst")
    return Subject(
        name="rattler + tar | zstd -T0",
        argv=("sh", "-c", script, "sh", *driver),
        before=lambda: _empty(goal, prefix),
        output=goal,
    )


def installs(world: World, environment: Environment, goal: Path) -> tuple[Subject, ...]:
    """Every way to put the environment into its place on a target; the builds above have been run.

    What was installed stays below ``goal``, for whoever made it to remove when all is measured: for minutes after a
    deletion ext4 looks at each inode that was freed before it takes one (``recently_deleted`` in its ialloc.c), and
    10,000 of them cost the next to unpack three seconds that no target would lose.
    """
    subjects = []
    for codec, flag in (("gzip", "-z"), ("zstd", "--zstd")):
        bundle = world.bundle(codec)
        (payload,) = bundle.glob("environment.tar*")
        root = goal / f"ours-{codec}"
        plain = goal / f"tar-{codec}"
        subjects += [
            _install(f"install.sh, {codec}", ("sh", stage_script(bundle, root)), root / "releases", root / "work"),
            _unpack(f"tar -x, {codec}", f'tar {flag} -xf "$1" -C "$2"', payload, plain),
            _unpack(f"tar -x and sync, {codec}", f'tar {flag} -xf "$1" -C "$2" && sync -f "$2"', payload, plain),
        ]
    for name, codec in ((GZIP_ALONE, "gzip"), (BROUGHT, "zstd")):
        root = goal / f"ours-{codec}-without-zstd"
        script = stage_script(world.bundle(codec), root, without_zstd=True)
        subjects.append(_install(name, ("sh", script), root / "releases", root / "work"))
    packed = world.room / "out" / f"{environment.name} conda-pack 1" / "env.tar.gz"
    words = 'tar -xzf "$1" -C "$2" && "$2/bin/python" "$2/bin/conda-unpack"'
    subjects.append(_unpack("conda-pack: tar -x, conda-unpack", words, packed, goal / "conda-pack"))
    prefix = goal / "rattler" / "env"
    driver = (sys.executable, _DRIVERS / "theirs.py", "install", environment.lockfile, prefix)
    subjects.append(_install("rattler install from .conda files", driver, prefix.parent))
    moved = goal / "moved"
    script = stage_script(world.bundle("gzip"), moved, relocate=True)
    subjects.append(_install("install.sh, gzip, another root", ("sh", script), moved / "releases", moved / "work"))
    return tuple(subjects)


def _unpack(name: str, script: str, archive: Path, goal: Path) -> Subject:
    return _install(name, ("sh", "-ec", script, "sh", archive, goal), goal)


def _install(name: str, argv: tuple[str | Path, ...], *directories: Path) -> Subject:
    return Subject(name=name, argv=argv, before=lambda: put_aside(*directories))


def put_aside(*directories: Path) -> None:
    """Empty directories, without deleting what was in them."""
    for directory in directories:
        if directory.exists():
            directory.rename(tempfile.mkdtemp(prefix=f"{directory.name}.", dir=directory.parent))
        directory.mkdir(parents=True)


def _empty(*directories: Path) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)


def _restored(world: World, snapshot: Path, goal: Path | None) -> Callable[[], None]:
    def restore() -> None:
        _empty(*([goal] if goal else []))
        shutil.rmtree(world.segments, ignore_errors=True)
        shutil.copytree(snapshot, world.segments, copy_function=os.link)

    return restore

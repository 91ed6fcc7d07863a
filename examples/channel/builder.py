"""Recipes -> a channel directory: only what is missing or changed is made, and nothing stale stays."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import beam
import bulk
import cpython
import decompressor
import greeting
import interpreter
import many
import runtime
import synthetic
import wheelpackage
from archive import pack
from model import HERE, SUBDIRS, ChannelError, Package, Recipe
from wheels import SCIENCE, Pin, download, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from interpreter import Interpreter

__all__ = ["SETS", "Outcome", "build_channel"]

_RECORD = ".made.json"
_SCIENTIFIC = frozenset({"science", "bench", "bench-large"})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Which archives were made, kept and removed, as ``subdir/filename``."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What the record says of one archive: its place, the fingerprint of its inputs, its size and digest."""

    place: str
    fingerprint: str
    size: int
    sha256: str


_LISTED = ("celery", "flask", "inference", "jupyter")
SETS = ("science", "bench", "bench-large", *_LISTED, "elixir")
"""What a channel may have beside the everyday packages: numpy and its like; with these, what `make bench` measures;
with these, what it measures outside CI; what the examples of the same name need."""


def build_channel(
    output: Path,
    cache: Path,
    sets: Collection[str] = (),
    *,
    system: Path | None = None,
    machine: str = HERE,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Bring ``output`` up to date: a conda channel for this machine and Python. Wheels are kept in ``cache``.

    ``sets`` are of :data:`SETS`; what is in none of them any more is removed. With ``system``, the root directory of
    another Debian, it is for that one's Python and glibc; for another ``machine`` there is only what wheels have.
    Raises :class:`ChannelError` if ``output`` is something else's directory, or a package cannot be made.
    """
    if machine not in SUBDIRS:
        raise ChannelError("the channel is made on x86-64 and aarch64 only")
    python = interpreter.of_system(system) if system else interpreter.running()
    python = replace(python, machine=machine)
    with _locked(output):
        before = _read_record(output)
        recipes = _recipes(cache, sets, python)
        fingerprints = {recipe.key: _fingerprint(recipe, python) for recipe in recipes}
        kept = {
            key: made
            for key, made in before.items()
            if fingerprints.get(key) == made.fingerprint and _stands(output, made)
        }
        record = dict(before)
        for recipe in recipes:
            if recipe.key not in kept:
                say(f"making {recipe.key}")
                record[recipe.key] = _make(output, recipe, fingerprints[recipe.key], record)
        removed = _remove_stale(output, before, record, fingerprints)
        current = {key: record[key] for key in fingerprints}
        _index(output, current)
        _write_record(output, current)
        _write_virtual_packages(output / "virtual-packages.yml", python.glibc)
        made = sorted(current[key].place for key in current.keys() - kept.keys())
        return Outcome(
            made=tuple(made),
            kept=tuple(sorted(entry.place for entry in kept.values())),
            removed=removed,
        )


def _recipes(cache: Path, sets: Collection[str], python: Interpreter) -> tuple[Recipe, ...]:
    wheels = _wheel_recipes(_pins(sets, python.python), cache, python)
    if python.machine != HERE:
        return wheels
    recipes = (cpython.recipe(python), *wheels, *greeting.recipes(), *synthetic.recipes())
    recipes += decompressor.recipes(python, cache)
    if sets:
        recipes += runtime.recipes(python)
    large = "bench-large" in sets
    if large or "bench" in sets:
        recipes += bulk.recipes(lambda: _by_name(download(SCIENCE, cache, python)), large=large)
        recipes += many.recipes()
    if "elixir" in sets:
        recipes += beam.recipes(cache)
    return recipes


def _pins(sets: Collection[str], python: str) -> tuple[Pin, ...]:
    pins = listed("everyday", python)
    if not _SCIENTIFIC.isdisjoint(sets):
        pins += SCIENCE
    for name in _LISTED:
        pins += listed(name, python) if name in sets else ()
    return tuple(dict.fromkeys(pins))


def _by_name(wheels: Mapping[Pin, Path]) -> dict[str, Path]:
    return {pin.name: path for pin, path in wheels.items()}


def _wheel_recipes(pins: tuple[Pin, ...], cache: Path, python: Interpreter) -> tuple[Recipe, ...]:
    names = {pin.project: pin.name for pin in pins}

    @functools.cache
    def wheels() -> Mapping[Pin, Path]:
        # All of them at once, when the first is asked for: pip takes a second to start.
        return download(pins, cache, python)

    def recipe(pin: Pin) -> Recipe:
        def make() -> Package:
            return wheelpackage.package(wheels()[pin], pin, names, python)

        # A noarch package's dependencies are those that hold for this Python, too.
        return Recipe(key=f"{pin.name} {pin.version}", inputs=f"{pin} {names} {python.python}", make=make)

    return tuple(recipe(pin) for pin in pins)


def _fingerprint(recipe: Recipe, python: Interpreter) -> str:
    text = f"{_tool_digest()}\n{python.subdir} {python.build} glibc {python.glibc}\n{recipe.inputs}"
    return hashlib.sha256(text.encode()).hexdigest()


def _tool_digest() -> str:
    """Over this tool's own sources: who changes a recipe gets new packages."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*")):
        if path.suffix in (".py", ".c"):
            digest.update(f"{path.relative_to(here)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _stands(output: Path, made: _Made) -> bool:
    path = output / made.place
    if not path.is_file() or path.stat().st_size != made.size:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == made.sha256


def _make(output: Path, recipe: Recipe, fingerprint: str, record: Mapping[str, _Made]) -> _Made:
    archive = pack(recipe.make())
    made = _Made(
        place=f"{archive.subdir}/{archive.filename}",
        fingerprint=fingerprint,
        size=len(archive.content),
        sha256=hashlib.sha256(archive.content).hexdigest(),
    )
    # Recorded before it is there, so that a killed run leaves no archive that nobody knows of.
    _write_record(output, {**record, recipe.key: made})
    _write(output / made.place, archive.content)
    return made


def _remove_stale(
    output: Path, before: Mapping[str, _Made], record: Mapping[str, _Made], wanted: Mapping[str, str]
) -> tuple[str, ...]:
    """Archives that an earlier run made, of another Python or another version of a recipe."""
    current = {record[key].place for key in wanted}
    stale = sorted({made.place for made in before.values()} - current)
    for place in stale:
        (output / place).unlink(missing_ok=True)
    return tuple(stale)


def _index(output: Path, current: Mapping[str, _Made]) -> None:
    """Write repodata.json for every subdir, unless the one that is there was made from the same archives."""
    listed = "".join(sorted(f"{made.place} {made.sha256}\n" for made in current.values()))
    stamp = output / ".indexed"
    subdirs = sorted({Path(made.place).parent for made in current.values()} | {Path("noarch")})
    complete = all((output / subdir / "repodata.json").is_file() for subdir in subdirs)
    if complete and stamp.is_file() and stamp.read_text(encoding="utf-8") == listed:
        return
    from rattler.index import index_fs

    stamp.unlink(missing_ok=True)
    # Without force an archive is taken to be what it was when its name was first seen.
    asyncio.run(index_fs(output, write_zst=False, write_shards=False, force=True))
    for repodata in sorted(output.glob("*/repodata.json")):
        _without_clock(repodata)
    _write(stamp, listed.encode())


def _without_clock(path: Path) -> None:
    """The indexer notes when it saw an archive; the same channel made twice shall be the same bytes."""
    repodata = json.loads(path.read_bytes())
    for entry in (*repodata["packages"].values(), *repodata["packages.conda"].values()):
        entry.pop("indexed_timestamp", None)
    _write(path, json.dumps(repodata, indent=2, sort_keys=True).encode() + b"\n")


def _write_virtual_packages(path: Path, glibc: str) -> None:
    """What locking may assume of the servers. conda-lock's own guess, glibc 2.28, is too old for what is made here."""
    packages = {"__unix": "0", "__linux": "5.10", "__glibc": glibc}
    machines = {"linux-64": "1 x86_64", "linux-aarch64": "1 aarch64"}
    subdirs = {subdir: {"packages": {**packages, "__archspec": spec}} for subdir, spec in machines.items()}
    text = json.dumps({"subdirs": subdirs}, indent=2) + "\n"  # YAML, too
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        _write(path, text.encode())


def _read_record(output: Path) -> dict[str, _Made]:
    path = output / _RECORD
    if not path.is_file():
        strangers = [entry.name for entry in output.iterdir() if not entry.name.startswith(".")]
        if strangers:
            raise ChannelError(
                f"the directory is not empty and was not made by this tool ({strangers[0]} is in it)",
                where=str(output),
                remedy="Name a new directory, or an empty one.",
            )
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {key: _Made(**made) for key, made in entries.items()}


def _write_record(output: Path, record: Mapping[str, _Made]) -> None:
    text = json.dumps({key: asdict(made) for key, made in record.items()}, indent=2, sort_keys=True)
    _write(output / _RECORD, f"{text}\n".encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """One run at a time in a directory; the second waits and then finds everything done."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

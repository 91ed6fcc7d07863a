"""What is measured of locking: whether a lockfile is fresh; conda packages, and wheels from an index on loopback.

The index has what PyPI said of them (tests/recorded), metadata files and no wheels, so nothing but solving is measured.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environments import Environment
from benchmarks.many import served
from benchmarks.measure import Subject
from bundler.lock.shim.launcher import SolverSettings, write_launcher, write_refusing_launcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.environments import World

__all__ = ["CHECK", "CHECK_LARGE", "COLD", "THEIR_CHECK", "THEIR_LOCK", "WARM", "checks", "locks"]

CHECK, CHECK_LARGE = "lock --check", "lock --check, 300 packages"
THEIR_CHECK = "conda-lock --check-input-hash"
COLD, WARM = "lock, nothing kept", "lock again"
THEIR_LOCK = "conda-lock itself"
_RECORDED = Path(__file__).parent.parent / "tests" / "recorded" / "index.json.xz"
_WEB = ("flask>=3", "flask-sqlalchemy", "flask-login", "flask-migrate", "gunicorn")
"""A list that conda-lock can lock."""
_API = ("torch", "transformers", "accelerate", "fastapi", "uvicorn")
"""The list of tests/large/ai-service; of torch the release that PyPI had for CPython 3.11 as it was recorded."""


_GIVES_UP = r"[Uu]nable to find installation candidates for [\w.-]+(?: \([^)\n]*\))?|timeout: sending signal"
_LIMIT = ("timeout", "--verbose", "1800")


def checks(world: World, small: Environment, large: Environment) -> tuple[Subject, ...]:
    """Ours, for a few packages and for many, and conda-lock's own."""
    room = world.fresh("refusing solver")
    solver = write_refusing_launcher(room, room / "asked")
    theirs = (*_conda_lock(small, world, solver), "--check-input-hash", "--lockfile", small.lockfile)
    return (
        _lock(CHECK, small, world, "--check"),
        _lock(CHECK_LARGE, large, world, "--check"),
        Subject(name=THEIR_CHECK, argv=theirs, before=lambda: None),
    )


@contextmanager
def locks(world: World, python: Environment) -> Iterator[tuple[tuple[Subject, ...], ...]]:
    """Three groups, of projects like ``python``'s: conda packages alone, the wheels of a web application, those of an
    inference API. Ours with nothing kept and again; conda-lock with its own solver of wheels and ours of packages.
    """
    index = world.fresh("index")
    _lay_out(json.loads(lzma.decompress(_RECORDED.read_bytes())), index)
    with served(index) as url:
        groups = []
        for name, asked, gives_up in (("conda", (), None), ("web", _WEB, None), ("api", _API, _GIVES_UP)):
            project = _project(world.fresh(f"{name} project"), python, asked, url)
            groups.append((*_ours(project, world), _theirs(project, world, gives_up)))
        yield tuple(groups)


def _project(directory: Path, python: Environment, asked: tuple[str, ...], url: str) -> Environment:
    shutil.copy(python.project / "bundle.toml", directory)
    listed = "".join(f"      - {text}\n" for text in asked)
    (directory / "environment.yml").write_text(
        "channels: []\ndependencies:\n  - python 3.11.*\n  - pip\n"
        + (f"  - pip:\n{listed}pip-repositories: [{url}/simple]\nallow-pypi-requests: false\n" if asked else ""),
        encoding="utf-8",
    )
    return Environment(name=directory.name, project=directory)


def _ours(environment: Environment, world: World) -> tuple[Subject, Subject]:
    def forget() -> None:
        for kept in ("uv", "conda-part", "requires-python"):
            shutil.rmtree(world.room / "cache" / kept, ignore_errors=True)

    argv = _lock(COLD, environment, world, "--quiet").argv
    return Subject(name=COLD, argv=argv, before=forget), Subject(name=WARM, argv=argv, before=lambda: None)


def _theirs(environment: Environment, world: World, gives_up: str | None) -> Subject:
    """conda-lock as one calls it, but with our solver in conda's place and without its download of a table of names."""
    room = world.fresh(f"solver of {environment.name}")
    names = room / "names.json"
    names.write_text("{}", encoding="utf-8")
    solver = write_launcher(room, SolverSettings())
    options = ("--pypi_to_conda_lookup_file", names, "--lockfile", room / "conda-lock.yml")
    argv = (*_LIMIT, *_conda_lock(environment, world, solver), *options)
    lockfile = room / "conda-lock.yml"
    return Subject(name=THEIR_LOCK, argv=argv, before=lambda: lockfile.unlink(missing_ok=True), gives_up=gives_up)


def _lock(name: str, environment: Environment, world: World, option: str) -> Subject:
    argv = (sys.executable, "-m", "bundler", "lock", environment.project, *world.build_options, option)
    return Subject(name=name, argv=argv, before=lambda: None)


def _conda_lock(environment: Environment, world: World, solver: Path) -> tuple[str | Path, ...]:
    channel = world.room / "channel"
    return (
        *(sys.executable, "-m", "conda_lock", "lock", "--conda", solver, "--no-mamba", "--no-micromamba"),
        *("--file", environment.project / "environment.yml", "--platform", _platform(environment)),
        *("--channel", channel.as_uri(), "--virtual-package-spec", channel / "virtual-packages.yml"),
    )


def _platform(environment: Environment) -> str:
    text = (environment.project / "bundle.toml").read_text(encoding="utf-8")
    return "linux-64" if "linux-64" in text else "linux-aarch64"


def _lay_out(recorded: Mapping[str, Mapping[str, Any]], index: Path) -> None:
    """Pages below ``simple/``, metadata files (PEP 658) in ``files/``."""
    files = index / "files"
    files.mkdir()
    for name, releases in recorded.items():
        links = []
        for version, release in releases.items():
            for wheel, (digest, *own) in release.get("wheels", {}).items():
                metadata = _metadata(name, version, own[0] if own else release)
                (files / f"{wheel}.metadata").write_bytes(metadata)
                about = f"sha256={hashlib.sha256(metadata).hexdigest()}"
                needs = (own[0] if own else release).get("python") or ""
                needs = needs.replace("<", "&lt;").replace(">", "&gt;")
                links.append(
                    f'<a href="/files/{wheel}#sha256={digest}" data-core-metadata="{about}" '
                    f'data-requires-python="{needs}">{wheel}</a>'
                )
        page = index / "simple" / name
        page.mkdir(parents=True)
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>\n")


def _metadata(name: str, version: str, said: Mapping[str, Any]) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {said['python']}"] if said.get("python") else []
    lines += [f"Provides-Extra: {extra}" for extra in said.get("extras", ())]
    lines += [f"Requires-Dist: {text}" for text in said.get("requires", ())]
    return "".join(f"{line}\n" for line in lines).encode()

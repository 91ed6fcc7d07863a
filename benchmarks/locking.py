"""What is measured of locking: whether a lockfile is fresh, and the wheels of an API from an index on loopback.

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

from benchmarks.many import served
from benchmarks.measure import Subject
from bundler.lock.launcher import write_refusing_launcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.environments import Environment, World

__all__ = ["CHECK", "CHECK_LARGE", "COLD", "THEIR_CHECK", "WARM", "checks", "wheels"]

CHECK, CHECK_LARGE = "lock --check", "lock --check, 300 packages"
THEIR_CHECK = "conda-lock --check-input-hash"
COLD, WARM = "lock, empty uv cache", "lock again"
_RECORDED = Path(__file__).parent.parent / "tests" / "recorded" / "index.json.xz"
_ASKED = ("torch", "transformers", "accelerate", "fastapi", "uvicorn")
"""The list of tests/large/ai-service; of torch the release that PyPI had for CPython 3.11 as it was recorded."""


def checks(world: World, small: Environment, large: Environment) -> tuple[Subject, ...]:
    """Ours, for a few packages and for many, and conda-lock's own."""
    virtual = world.room / "channel" / "virtual-packages.yml"
    room = world.fresh("refusing solver")
    solver = write_refusing_launcher(room, room / "asked")
    theirs = (
        *(
            sys.executable,
            "-m",
            "conda_lock",
            "lock",
            "--check-input-hash",
            "--conda",
            solver,
            "--no-mamba",
            "--no-micromamba",
        ),
        *("--file", small.project / "environment.yml", "--lockfile", small.lockfile),
        *("--channel", (world.room / "channel").as_uri(), "--virtual-package-spec", virtual),
        *("--platform", _platform(small)),
    )
    return (
        _lock(CHECK, small, world, "--check"),
        _lock(CHECK_LARGE, large, world, "--check"),
        Subject(name=THEIR_CHECK, argv=theirs, before=lambda: None),
    )


@contextmanager
def wheels(world: World, python: Environment) -> Iterator[tuple[Subject, ...]]:
    """The list of an inference API, in a project like ``python``'s: first with nothing kept, then again."""
    from benchmarks.environments import Environment

    index = world.fresh("index")
    _lay_out(json.loads(lzma.decompress(_RECORDED.read_bytes())), index)
    project = world.fresh("wheels project")
    shutil.copy(python.project / "bundle.toml", project)
    with served(index) as url:
        listed = "".join(f"      - {text}\n" for text in _ASKED)
        (project / "environment.yml").write_text(
            f"channels: []\ndependencies:\n  - python 3.11.*\n  - pip\n  - pip:\n{listed}"
            f"pip-repositories: [{url}/simple]\nallow-pypi-requests: false\n",
            encoding="utf-8",
        )
        environment = Environment(name="wheels", project=project)
        cold = _lock(COLD, environment, world, "--quiet")
        kept = world.room / "cache" / "uv"
        yield (
            Subject(name=COLD, argv=cold.argv, before=lambda: shutil.rmtree(kept, ignore_errors=True)),
            _lock(WARM, environment, world, "--quiet"),
        )


def _lock(name: str, environment: Environment, world: World, option: str) -> Subject:
    argv = (sys.executable, "-m", "bundler", "lock", environment.project, *world.build_options, option)
    return Subject(name=name, argv=argv, before=lambda: None)


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

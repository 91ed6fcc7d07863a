"""A project whose wheels come from an index here, for the modules that say nothing else of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pipkit import Project, listen, make_channel
from pypikit import serve_index
from readypython import ready_python, starting_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypikit import Index


@pytest.fixture(scope="session", autouse=True)
def _ready_starts() -> Iterator[None]:
    """conda-lock and our solver are started by readypython.py, unless a test asks for `real_starts`."""
    with starting_with(ready_python()):
        yield


@pytest.fixture
def real_starts() -> Iterator[None]:
    """They are started as they are where nobody tests them."""
    with starting_with(None):
        yield


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_channel(tmp_path_factory.mktemp("channels") / "main")


@pytest.fixture
def pypi(tmp_path: Path) -> Iterator[Index]:
    """It has the metadata of its wheels beside them (PEP 658)."""
    with serve_index(tmp_path / "wheels") as index:
        index.metadata = True
        yield index


@pytest.fixture
def project(tmp_path: Path, channel: Path, pypi: Index, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    return Project.make(tmp_path / "project", channel, pypi)


@pytest.fixture
def users_room() -> Iterator[Path]:
    """A directory that somebody else can reach."""
    with tempfile.TemporaryDirectory() as room:
        yield Path(room)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What conda-lock is started for, in order."""
    return listen(monkeypatch)

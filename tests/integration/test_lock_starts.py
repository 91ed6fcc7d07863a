"""What is started for a lock with wheels: conda-lock and our solver are most of the time that it takes."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pipkit import Project, conda_lock_calls_it_fresh
from pypikit import make_wheel

from bundler.lock import condalock
from bundler.lock.contenthash import rendered
from bundler.lock.request import checked_environment
from bundler.lock.shim.launcher import SolverSettings, write_launcher

if TYPE_CHECKING:
    from pathlib import Path

    from pypikit import Index

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def _app(pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0")


def test_conda_lock_is_started_once(project: Project, started: list[str]) -> None:
    assert project.asks_for("app").lock().keys() == {"app"}
    assert started == ["lock"]
    assert conda_lock_calls_it_fresh(project.path)


def test_what_is_not_known_for_certain_conda_lock_is_asked(project: Project, started: list[str]) -> None:
    """A spec with a channel, which conda's own configuration may give another name."""
    project.asks_for("app", conda=("python", f"{project.channel}::leaf")).lock()
    assert sorted(started) == ["lock", "render-lock-spec"]
    assert conda_lock_calls_it_fresh(project.path)


def test_a_channel_of_a_spec_may_have_another_name_in_condas_configuration(project: Project) -> None:
    request = project.asks_for("app", conda=("python", "conda-forge::leaf")).request()
    assert rendered.read_here(checked_environment(request), request.platforms) is None


def test_a_conda_lock_of_another_version_is_asked(
    project: Project, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered, "is_known_conda_lock", lambda: False)
    project.asks_for("app").lock()
    assert sorted(started) == ["lock", "render-lock-spec"]


def test_a_reading_that_conda_locks_hash_does_not_confirm_does_not_count(
    project: Project, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any) -> rendered.Rendered | None:
        read = rendered.read_here(*arguments)
        assert read is not None
        spec: dict[str, Any] = {**read.asked, "channels": [{"url": "another", "used_env_vars": []}]}
        return replace(read, asked=spec, solved=spec)

    monkeypatch.setattr(condalock, "read_here", wrong)
    project.asks_for("app").lock()
    assert started == ["lock", "render-lock-spec"]
    assert conda_lock_calls_it_fresh(project.path)


def test_our_solver_tells_its_version_without_a_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    conda = write_launcher(tmp_path, SolverSettings())
    done = subprocess.run([conda, "--version"], env={"PATH": os.defpath}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("conda-bundler ")

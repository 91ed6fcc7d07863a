"""`doctor`: what is found, what is missing and how to get it, and the exit code that follows."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import fastjsonschema
import pytest
from click.testing import CliRunner

from bundler import doctor
from bundler.cli import cli
from bundler.errors import MissingToolError
from bundler.outputs import output_schema

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with everything: unit tests start no process, so what would run one is told what it says."""
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "_cage", lambda: "works")
    monkeypatch.setattr(doctor, "_systemd", lambda: "version 252, running")
    monkeypatch.setattr(doctor, "_root", lambda: "yes")
    monkeypatch.setattr(doctor, "_control_groups", lambda: "writable")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["doctor", *words])
    return done.exit_code, done.stdout


def test_everything_is_here() -> None:
    status, text = run()
    assert status == 0
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        "build: ready", "smoke: ready", "server: ready"
    ]  # fmt: skip
    assert "missing" not in text


def test_a_missing_program_names_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "mmdebstrap" else f"/usr/bin/{name}")
    status, text = run("--for", "smoke")
    assert status == 9
    assert "smoke: NOT READY" in text
    assert "missing   mmdebstrap: " in text
    assert "apt-get install mmdebstrap" in text
    assert run()[0] == 0, "only what `build` needs decides, unless something else is asked for"
    assert run("--for", "build")[0] == 0
    assert run("--for", "build", "--for", "smoke")[0] == 9


def test_what_only_some_bundles_need_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise MissingToolError("no namespaces", remedy="Build as root.")

    monkeypatch.setattr(doctor, "_cage", refuse)
    status, text = run("--for", "build")
    assert status == 0
    assert "optional  cage: no namespaces\n            Build as root.\n" in text


def test_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LIBRARIES", ("no-such-distribution",))
    status, text = run()
    assert status == 9
    assert "no-such-distribution: not installed\n            Install it: pip install no-such-distribution" in text


def test_a_full_disk_and_a_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_LEAST_FREE", 1 << 80)
    status, text = run("--for", "build")
    assert status == 9
    assert " GB free" in text
    assert "CONDA_BUNDLER_CACHE" in text
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "file"))
    status, text = run("--for", "build")
    assert status == 9
    assert "cannot be made" in text


def test_json_follows_its_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    status, text = run("--json", "--for", "server")
    assert status == 9
    document = json.loads(text)
    fastjsonschema.compile(output_schema("doctor"))(document)
    assert document["ready"] == {"server": False}
    assert {one["name"] for one in document["findings"] if not one["ok"] and one["needed"]} == {"tar", "gzip"}

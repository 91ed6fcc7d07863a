"""A run of conda-bundler that was forked is what one of its own Python is."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import commandkit
import pytest
from commandkit import conda_bundler

if TYPE_CHECKING:
    from pathlib import Path

OWN_PYTHON = {"PYTHONHASHSEED": "7"}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--version",), 0),
        (("build", "--help"), 0),
        (("build", "nowhere"), 2),
        (("build", "there", "--json"), 2),
        (("build", "there", "--debug"), 2),
        (("inspect", "there/bundle.toml"), 7),
        (("nothing",), 2),
    ],
)
def test_it_says_and_does_the_same(tmp_path: Path, words: tuple[str, ...], status: int) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "bundle.toml").write_text("[bundle]\n")
    runs = [conda_bundler(*words, cwd=tmp_path, env=env) for env in ({}, {}, OWN_PYTHON)]
    assert {run.returncode for run in runs} == {status}
    assert len({run.stdout for run in runs}) == 1
    assert len({run.stderr.partition("Traceback")[0] for run in runs}) == 1
    assert ("Traceback" in runs[0].stderr) == ("Traceback" in runs[2].stderr) == ("--debug" in words)


def test_it_has_our_environment_of_now_and_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "ours"))
    assert f"cache directory: {tmp_path}/ours" in conda_bundler("doctor").stdout
    assert f"cache directory: {tmp_path}/given" in (
        conda_bundler("doctor", env={"CONDA_BUNDLER_CACHE": str(tmp_path / "given")}).stdout
    )
    monkeypatch.chdir(tmp_path)
    assert conda_bundler("init", "here").returncode == 0
    assert (tmp_path / "here" / "bundle.toml").exists()


def test_who_gives_it_what_python_reads_at_its_start_gets_a_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commandkit, "_FORKING", iter(()))
    for env in (OWN_PYTHON, {"LC_ALL": "C"}):
        assert conda_bundler("--version", env=env).returncode == 0
    with pytest.raises(StopIteration):
        conda_bundler("--version")


def test_two_runs_in_a_row_have_two_hash_seeds() -> None:
    seeds = []
    for one in (next(commandkit._FORKING) for _ in range(2)):
        one.run(commandkit._Run(["--version"], "/", dict(os.environ)), 60)
        assert one._process is not None
        with open(f"/proc/{one._process.pid}/environ", "rb") as file:  # noqa: PTH123 -- of /proc
            seeds += [word for word in file.read().split(b"\0") if word.startswith(b"PYTHONHASHSEED=")]
    assert len(set(seeds)) == 2


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """And the next is not held up."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 1000\n")
    systemctl.chmod(0o755)
    with pytest.raises(subprocess.TimeoutExpired):
        conda_bundler("doctor", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=20)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert [conda_bundler("--version").returncode for _ in range(2)] == [0, 0]

"""A process of a lock that was forked is what one of a Python of its own is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import readypython
from pypikit import make_wheel
from readypython import ready_python, starting_with, words_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipkit import Project
    from pypikit import Index

REPORT = """\
import json, os, sys
environ = {name: value for name, value in os.environ.items() if name != "_"}
print(json.dumps([sys.argv, sys.path[0], os.getcwd(), os.umask(0), environ, sys.stdin.read(), __name__]))
print("an error", file=sys.stderr)
if "stop" in sys.argv:
    raise SystemExit("stopped")
if "fail" in sys.argv:
    raise ValueError("failed")
if "die" in sys.argv:
    os.kill(os.getpid(), 9)
sys.exit(len(sys.argv))
"""
IS_READY = "import sys; print('conda_lock.conda_lock' in sys.modules)"
WAIT = """\
import os, pathlib, subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid} ")
time.sleep(1000)
"""

ENVIRONMENT = {
    "PATH": os.defpath,
    "PYTHONUTF8": "1",
    **{name: value for name, value in os.environ.items() if name.startswith(("LANG", "LC_", "LD_", "MALLOC_"))},
}

HERE = {
    name: text for name, text in os.environ.items() if name.startswith(("HOME", "XDG_", "MAMBA", "POETRY_", "CONDARC"))
}


def start(python: list[str], script: Path, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [*python, script, *words],
        input="asked",
        capture_output=True,
        text=True,
        check=False,
        cwd=script.parent,
        env=ENVIRONMENT | (env or {}),
        umask=0o27,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", [(), ("a b", "", "c\nd"), ("stop",), ("fail",), ("die",)])
def test_it_has_and_says_and_ends_the_same(tmp_path: Path, words: tuple[str, ...]) -> None:
    script = tmp_path / "script"
    script.write_text(REPORT)
    ready, real = (
        start(python, script, *words, env={"X": "\udcff"}) for python in (words_of(ready_python()), [sys.executable])
    )
    assert ready[:2] == real[:2]
    assert ready[2].splitlines()[-1:] == real[2].splitlines()[-1:]
    assert ("Traceback" in ready[2]) == ("Traceback" in real[2]) == ("fail" in words)


def test_who_gives_it_what_python_reads_at_its_start_gets_a_python(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(IS_READY)
    for python in ([str(ready_python())], words_of(ready_python())):
        assert start(python, script) == (0, "True\n", "")
    for env in ({"PYTHONHASHSEED": "7"}, {"LC_ALL": "C.UTF-8"}, {"PYTHONUTF8": "0"}):
        assert start([str(ready_python())], script, env=env) == (0, "False\n", "")


def test_so_does_who_gives_conda_lock_another_configuration(tmp_path: Path) -> None:
    """Of conda's, or another home where it would be looked for; what is ours is looked at when it is needed."""
    for name in ("script", "conda-lock"):
        script = tmp_path / name
        script.write_text(IS_READY)
        for env, ready in (
            ({"CONDA_BUNDLER_CACHE": "/nonexistent"}, True),
            ({"HOME": "/nonexistent"}, name == "script"),
            ({"CONDA_CHANNEL_PRIORITY": "strict"}, name == "script"),
            ({"CONDARC": "/nonexistent"}, name == "script"),
        ):
            assert start([str(ready_python())], script, env=HERE | env) == (0, f"{ready}\n", ""), env


def test_what_the_first_test_sets_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts with the first test that asks for it."""
    script = tmp_path / "conda-lock"
    script.write_text(IS_READY)
    home = os.environ["HOME"]
    monkeypatch.setattr(readypython._Ready, "_one", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    python = [str(ready_python())]
    assert start(python, script, env=HERE | {"HOME": str(tmp_path)}) == (0, "False\n", "")
    assert start(python, script, env=HERE | {"HOME": home}) == (0, "True\n", "")
    readypython._Ready.one().end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_ends_it_ends_what_it_stands_for(tmp_path: Path, number: signal.Signals) -> None:
    script, pids = tmp_path / "script", tmp_path / "pids"
    script.write_text(WAIT)
    child = subprocess.Popen([ready_python(), script, pids], env=ENVIRONMENT)
    end = time.monotonic() + 100
    while not (pids.exists() and pids.read_text().endswith(" ")):
        assert time.monotonic() < end
        time.sleep(0.01)
    child.send_signal(number)
    assert child.wait(60) == -number
    while any(runs(pid) for pid in pids.read_text().split()):
        assert time.monotonic() < end
        time.sleep(0.01)


def runs(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123 -- of /proc
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.network
def test_a_lock_is_the_same(project: Project, pypi: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each where nothing was ever locked."""
    make_wheel(pypi.directory, "app", "1.0")
    project.asks_for("app", conda=("python", "leaf"))
    found = []
    for place, python in (("ready", ready_python()), ("real", None)):
        monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / place))
        with starting_with(python):
            project.lock()
        found.append(project.lockfile.read_bytes())
    assert found[0] == found[1]

"""A lock that takes too long, or is interrupted: a sentence, and nothing left; and what is told while it lasts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from pipkit import make_channel
from prefixkit import Steps

from bundler import progress
from bundler.errors import LockError
from bundler.fetch.channels import Access
from bundler.lock.condalock import LockRequest, write_lockfile
from bundler.lock.watch import watching
from bundler.process import TIMED_OUT, Group, ToolFailed, run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("own_cache", "real_starts")]

STUBBORN = """\
#!/bin/sh
[ "$1" = --version ] && { echo conda 26.7.0; exit 0; }
trap '' TERM
sleep 1000 &
echo $$ $! >"$STUBBORN_PIDS"
wait
"""
"""A conda that never comes to an end and heeds no SIGTERM; nor does the child that has its pipes."""


@pytest.fixture
def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text(STUBBORN)
    conda.chmod(0o755)
    monkeypatch.setenv("STUBBORN_PIDS", str(tmp_path / "pids"))
    return conda


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes requests and answers none."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait()

        do_HEAD = do_GET  # noqa: N815 -- the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        over.set()
        server.shutdown()


@pytest.fixture(scope="module")
def enough() -> float:
    """Seconds within which conda-lock is surely under way, on this machine and as busy as it is."""
    began = time.monotonic()
    subprocess.run([Path(sys.executable).with_name("conda-lock"), "lock", "--help"], capture_output=True, check=True)
    return 4 + 4 * (time.monotonic() - began)


def request_for(tmp_path: Path, *, channel: str, wheels: tuple[str, ...] = (), **settings: object) -> LockRequest:
    project = tmp_path / "project"
    project.mkdir()
    environment = {"channels": [channel], "dependencies": ["python", {"pip": list(wheels)}] if wheels else ["python"]}
    (project / "environment.yml").write_text(yaml.safe_dump(environment))
    options = {"access": Access(retries=0, read_timeout=600), **settings}
    return LockRequest(
        environments=(project / "environment.yml",),
        lockfile=project / "conda-lock.yml",
        platforms=("linux-64",),
        **options,  # type: ignore[arg-type]
    )


def alive(pids: Path) -> list[int]:
    """Those that run; one that only waits for its parent to hear of its end has no command line any more."""
    found = (Path("/proc", pid, "cmdline") for pid in pids.read_text().split())
    return [int(path.parent.name) for path in found if path.exists() and path.read_bytes()]


def test_a_solver_that_never_ends_is_ended(stubborn: Path, temporary: Path, tmp_path: Path, enough: float) -> None:
    request = request_for(tmp_path, channel="https://conda.example/x", solver=str(stubborn), timeout=enough)
    with pytest.raises(LockError) as raised:
        write_lockfile(request)
    said = raised.value.format_message()
    assert ", while asking conda for a solution, for linux-64" in said
    assert said.startswith(f"{request.where}: timed out after ")
    assert "--lock-timeout 30m" in said
    assert alive(tmp_path / "pids") == []
    assert list(temporary.iterdir()) == []
    assert not request.lockfile.exists()


def test_a_channel_that_does_not_answer(silent: str, temporary: Path, tmp_path: Path, enough: float) -> None:
    channel = f"{silent}/main"
    with pytest.raises(LockError, match=f"while reading channel {channel}, for linux-64"):
        write_lockfile(request_for(tmp_path, channel=channel, timeout=enough))
    assert list(temporary.iterdir()) == []


def test_an_index_that_does_not_answer(silent: str, temporary: Path, tmp_path: Path, enough: float) -> None:
    channel = make_channel(tmp_path / "channel").as_uri()
    wheels = (f"--index-url {silent}/simple", "app")
    steps = Told()
    with pytest.raises(LockError, match="while querying package indexes for wheels for linux-64"):
        write_lockfile(request_for(tmp_path, channel=channel, wheels=wheels, timeout=2 * enough), steps)
    assert list(temporary.iterdir()) == []
    assert "solving for linux-64" in steps.waited
    assert "querying package indexes for wheels for linux-64" in steps.waited


class Told(Steps):
    """What is waited for, too."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[str] = []

    def waiting(self):  # type: ignore[no-untyped-def]
        import contextlib

        return contextlib.nullcontext(self.waited.append)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_interrupted_leaves_nothing(
    stubborn: Path, temporary: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """As a CI job is that is cancelled, or by a terminal that is closed, in the middle of a solve.

    Even where the tests themselves do not hear of that signal (under nohup) the command does.
    """
    request = request_for(tmp_path, channel="https://conda.example/x")
    project = request.lockfile.parent
    (project / "bundle.toml").write_text(
        '[bundle]\nname = "small"\nversion = "1.0"\n[services.small]\ncommand = ["python"]\n'
    )
    heard: list[str | Path] = ["env", f"--default-signal={number.name.removeprefix('SIG')}"]
    child = subprocess.Popen(
        [*heard, sys.executable, "-m", "bundler", "lock", "--solver", stubborn, project],
        stderr=subprocess.PIPE,
    )
    with child, contextlib.ExitStack() as unless_ended:
        unless_ended.callback(child.kill)
        while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < 2:
            assert child.poll() is None, child.stderr.read() if child.stderr else ""
            time.sleep(0.05)
        assert len(alive(tmp_path / "pids")) == 2
        child.send_signal(number)
        child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert alive(tmp_path / "pids") == []
    assert list(temporary.iterdir()) == []


def test_who_waits_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_WAIT", 0.1)
    for shown in (progress.PlainProgress(), progress.QuietProgress()):
        status = tmp_path / type(shown).__name__
        with watching(status, seconds=60, where="environment.yml", progress=shown) as watch:
            for text in ("reading channel \x1b[31mx", "solving for linux-64"):
                watch.now(text)
                watch.run(["sleep", "1"])
        out, err = capfd.readouterr()
        assert out == ""
        lines = [line.partition(" (")[0] for line in err.splitlines()]
        assert lines == (["  reading channel \\x1b[31mx", "  solving for linux-64"] if "Plain" in status.name else [])


def test_a_group_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 1000 & echo $$ $! >{tmp_path}/pids; wait"
    group = Group()
    with pytest.raises(ToolFailed) as late:
        run(["sh", "-c", script], timeout=1, group=group)
    assert late.value.finished.status == TIMED_OUT
    assert alive(tmp_path / "pids") == []
    assert run(["sh", "-c", "echo done; sleep 1000 >/dev/null 2>&1 &"], timeout=60, group=group).stdout == "done\n"
    group.end()
    with pytest.raises(ToolFailed):
        run(["sleep", "1000"], group=group)


def test_a_program_that_has_closed_its_pipes_is_waited_for() -> None:
    assert run(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 3"], check=False, group=Group()).status == 3
    assert run(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 3"], check=False).status == 3
    with pytest.raises(ToolFailed):
        run(["sh", "-c", "sleep 1000 & sleep 1000"], timeout=0.3)
    assert os.getpgrp() == os.getpgid(0)

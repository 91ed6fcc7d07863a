"""before_start without systemd: what runs before a service, for how long, and what keeps the service from starting."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, WAYS, Way, with_functions, write_service
from waiting import until

if TYPE_CHECKING:
    from pathlib import Path

# Who is not root cannot become anybody.
SETPRIV = '#!/bin/sh\nwhile [ "$1" != -- ]; do [ "$1" != true ] || exit 0; shift; done\nshift\nexec "$@"\n'
pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
EITHER_WAY = pytest.mark.parametrize("way", WAYS)


def script(way: Way, room: Path, *lines: str) -> str:
    """What ``manage run hello`` does before the service's own command, with ``lines`` in its unit's [Service]."""
    (room / "bin").mkdir(exist_ok=True)
    (room / "bin/oursetpriv").write_text(SETPRIV)
    (room / "bin/oursetpriv").chmod(0o755)
    write_service(room, "\n".join(("[Service]", "Type=exec", *lines, "")), way)
    values = f"PROGRAM=manage OPERAND=hello NAME=hello RELEASE=1.0 ROOT={room}"
    steps = (
        f"load_launcher; run_user=hello run_group=hello; run_variable ROOM {room}; run_variable A 'b  c'",
        "catch_stop; before_service; echo on",
    )
    text = with_functions("\n".join((f"PATH={room}/bin:$PATH", values, *steps)), of="manage")
    return text.replace("setpriv", "oursetpriv")  # busybox sh runs one of its own, whatever is in PATH


def run(shell: tuple[str, ...], way: Way, room: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*shell, "-c", script(way, room, *lines)], capture_output=True, text=True, check=False)


@EITHER_WAY
def test_each_runs_in_order_with_the_services_words_and_environment(
    shell: tuple[str, ...], tmp_path: Path, way: Way
) -> None:
    done = run(
        shell,
        way,
        tmp_path,
        'ExecStartPre=/bin/sh -c \'printf "<%%s>" "$$@" >>$$ROOM/log\' sh ${A} $A 100%%',
        "ExecStartPre=-/bin/sh -c 'echo \" second\" >>$$ROOM/log; exit 5'",
        "ExecStartPre=/bin/sh -c 'echo third >>$$ROOM/log'",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")
    assert (tmp_path / "log").read_text() == "<b  c><b><c><100%> second\nthird\n"


@EITHER_WAY
def test_one_that_fails_keeps_the_service_from_starting(shell: tuple[str, ...], tmp_path: Path, way: Way) -> None:
    done = run(shell, way, tmp_path, "ExecStartPre=/bin/sh -c 'exit 7'", "ExecStartPre=/bin/touch ${ROOM}/second")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == "manage: error: hello is not started: /bin/sh -c 'exit 7' failed (status 7)\n"
    assert not (tmp_path / "second").exists()


@EITHER_WAY
def test_one_that_hangs_is_ended(shell: tuple[str, ...], tmp_path: Path, way: Way) -> None:
    started = time.monotonic()
    done = run(shell, way, tmp_path, "TimeoutStartSec=1", "ExecStartPre=/bin/sleep 300")
    assert done.returncode in (124, 137, 143)  # as the timeout program of the day says it
    assert time.monotonic() - started < 120
    assert done.stderr.endswith("manage: error: hello is not started: /bin/sleep 300 did not finish within 1 s\n")


@EITHER_WAY
def test_what_is_systemds_alone_is_told(shell: tuple[str, ...], tmp_path: Path, way: Way) -> None:
    done = run(
        shell, way, tmp_path, "ExecStartPre=+/bin/touch ${ROOM}/x", "ExecStartPre=/bin/true ; /bin/touch ${ROOM}/x"
    )
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert done.stderr.count("without systemd this is not run before hello: ") == 2
    assert not (tmp_path / "x").exists()


@EITHER_WAY
def test_who_stops_the_launcher_stops_it(shell: tuple[str, ...], tmp_path: Path, way: Way) -> None:
    text = script(way, tmp_path, "ExecStartPre=/bin/sh -c 'echo $$$$ >$$ROOM/pid; exec sleep 300'")
    launcher = subprocess.Popen([*shell, "-c", text], stdout=subprocess.PIPE, text=True)
    assert until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    pid = int((tmp_path / "pid").read_text())
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(60) == 143
    assert launcher.communicate()[0] == ""
    assert until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    done = subprocess.run(["kill", "-0", str(pid)], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        ("", "90"),
        ("TimeoutStartSec=300", "300"),
        ("TimeoutStartSec=1min 30s", "90"),
        ("TimeoutStartSec=5 min", "300"),
        ("TimeoutStartSec=2h", "7200"),
        ("TimeoutStartSec=infinity", ""),
        ("TimeoutStartSec=500ms", "90"),
        ("Type=oneshot", ""),
    ],
)
def test_for_how_long(shell: tuple[str, ...], tmp_path: Path, span: str, seconds: str) -> None:
    """Which the server only works out itself where there is no launcher."""
    (tmp_path / "unit").write_text("\n".join(("[Service]", "Type=exec", span, "")))
    text = with_functions(f"PROGRAM=manage OPERAND=hello run_unit={tmp_path}/unit; start_seconds", of="manage")
    done = subprocess.run([*shell, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, seconds, "")

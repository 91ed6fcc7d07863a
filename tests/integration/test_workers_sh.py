"""The gate's look at the workers of a service, with real processes: which are seen, which last, which come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from shellkit import with_functions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# In the place of a control group: the session of the main process, which is MAIN.
SESSION = """
in_group() {
    shift
    for session_file in "$@"; do
        read -r session_line 2>/dev/null <"${session_file%/cgroup}/stat" || continue
        set -- ${session_line##*) }
        [ "$4" != "$MAIN" ] || printf '%s\\n' "$session_file"
    done
}
property() { echo "$MAIN"; }
control() { :; }
"""
LOOKS = """
forget_workers web.service
count=0
while [ "$count" -lt 200 ]; do
    look_pid=$MAIN look_group=/x gate_exe=$(readlink "/proc/$MAIN/exe")
    look_at_workers
    ! workers_last || [ "$count" -lt 30 ] || break
    ! workers_loop || break
    sleep 0.1
    count=$((count + 1))
done
! workers_last || echo "last: ${gate_workers:+some}"
! workers_loop || echo loop
"""
LASTING = "time.sleep(300)"
DYING = "time.sleep(0.3); os._exit(1)"
FORK = """
import os, time
print("up", flush=True)
def start(what):
    pid = os.fork()
    if not pid:
        exec(what)
    return pid
"""
SPAWN = """
import multiprocessing, sys, time
sys.argv[0] = ""  # a child would run this again
if __name__ == "__main__":
    kind = multiprocessing.get_context({kind!r})
    kind.Value("i")
    print("up", flush=True)
    while True:
        one = kind.Process(target=time.sleep, args=(0.5,))
        one.start(); one.join()
"""
MASTERS = {
    "steady": (f"{FORK}for _ in range(2): start({LASTING!r})\ntime.sleep(300)", "last: some"),
    "dying": (f"{FORK}while True: os.waitpid(start({DYING!r}), 0)", "loop"),
    "some dying": (
        f"{FORK}start({LASTING!r})\nwhile True: os.waitpid(start({DYING!r}), 0)",
        "last: some",
    ),
    "helper at its start": (f"{FORK}os.waitpid(start({DYING!r}), 0)\ntime.sleep(300)", "last: "),
    "none": (f"{FORK}time.sleep(300)", "last: "),
    "another program": (
        f"{FORK}import subprocess\nwhile True: subprocess.run(['sleep', '0.2'])",
        "last: ",
    ),
    "spawn": (SPAWN.format(kind="spawn"), "loop"),
    "forkserver": (SPAWN.format(kind="forkserver"), "loop"),
}


@contextmanager
def main_process(*words: str) -> Iterator[int]:
    with (
        TemporaryDirectory(prefix="workers-") as temporary,  # a fork server killed below leaves its socket there
        subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"TMPDIR": temporary},
        ) as main,
    ):
        try:
            assert main.stdout
            assert main.stdout.readline() == b"up\n"
            yield main.pid
        finally:
            os.killpg(main.pid, signal.SIGKILL)


def looks(shell: tuple[str, ...], main: int, *, unit: Path | None = None) -> str:
    root = unit.parent.parent.parent.parent if unit else "/nowhere"
    values = f"PROGRAM=install.sh NAME=web IMAGE= RELEASE=1 ROOT={root} MAIN={main}\n"
    text = with_functions(f"{values}{SESSION}{LOOKS}")
    done = subprocess.run([*shell, "-c", text], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip("\n")


@pytest.mark.parametrize(
    ("kind", "shell"),
    [*((kind, "dash") for kind in MASTERS), *((kind, "busybox sh") for kind in ("steady", "dying", "forkserver"))],
)
def test_which_workers_last(kind: str, shell: str, tmp_path: Path) -> None:
    program, expected = MASTERS[kind]
    path = tmp_path / "main.py"
    path.write_text(program)
    with main_process(sys.executable, str(path)) as main:
        found = looks(tuple(shell.split()), main)
    assert found == expected


def test_a_shell_may_start_what_it_wants_to(tmp_path: Path) -> None:
    with main_process("dash", "-c", "echo up; while :; do (sleep 0.2; :); done") as main:
        assert looks(("dash",), main) == "last: "


def test_workers_that_are_to_end_soon_are_not_looked_at(tmp_path: Path) -> None:
    unit = tmp_path / "releases/1/units/web.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Unit]\nX-ShortLivedWorkers=yes\n")
    with main_process(sys.executable, "-c", MASTERS["dying"][0]) as main:
        assert looks(("dash",), main, unit=unit) == "last: "
        unit.write_text("[Unit]\n")
        assert looks(("dash",), main, unit=unit) == "loop"

"""What manage exec gives a command of root's terminal: nothing. Each shell, on a terminal of the test's own."""

from __future__ import annotations

import shlex
import termios
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions
from terminalkit import Screen

if TYPE_CHECKING:
    from pathlib import Path

STEPS = """set -eu
PROGRAM=manage NAME=hello RELEASE=1.0 RUN_DIR=$1/run BARE=$2 room=$1
control() { return 1; }
command() { exec /bin/sh "$room/command"; }
"""
COMMAND = """
for fd in 0 1 2; do [ ! -t $fd ] || echo "$fd" >>"$ROOM/terminals"; done
: >"$ROOM/started"
read -r line; echo "got <$line>"; echo "and stderr" >&2; exit 5
"""
CASES = pytest.mark.parametrize(
    ("bare", "redirected"),
    [
        ("yes", ""),
        ("yes", ">out"),
        ("", ">out"),
        ("", "2>err"),
        ("", "<in"),
        ("", ">out 2>err"),
        ("yes", "<in >out"),
    ],
)


@pytest.fixture(params=SHELLS, ids=SHELL_IDS)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def screen_of(shell: tuple[str, ...], room: Path, bare: str, redirected: str, command: str) -> closing[Screen]:
    # "command -v" is the shell's own; what is run is a function
    text = STEPS.replace("command()", "the_command()") + "exec_child the_command\n"
    (room / "script").write_text(with_functions(text, of="manage"))
    (room / "command").write_text(command.replace("$ROOM", str(room)))
    (room / "in").write_text("from a file\n")
    script = (
        f"cd {shlex.quote(str(room))}; {shlex.join([*shell, 'script', str(room), bare])} {redirected}; echo status $?"
    )
    return closing(Screen(["sh", "-c", script]))


def until(path: Path) -> bool:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return path.exists()


@CASES
def test_no_terminal_is_the_commands(shell: tuple[str, ...], tmp_path: Path, bare: str, redirected: str) -> None:
    with screen_of(shell, tmp_path, bare, redirected, COMMAND) as screen:
        if "<in" not in redirected:
            assert until(tmp_path / "started"), screen.text
            screen.press(b"typed\r")
        assert screen.shows("status 5"), screen.text
        word = "from a file" if "<in" in redirected else "typed"
        out = (tmp_path / "out").read_text() if ">out" in redirected else screen.text
        err = (tmp_path / "err").read_text() if "2>err" in redirected else screen.text
        assert f"got <{word}>" in out
        assert "and stderr" in err
        assert not (tmp_path / "terminals").exists()
        assert termios.tcgetattr(screen.theirs) == screen.before
        assert list((tmp_path / "run").iterdir()) == []


def test_what_is_left_behind_reads_and_writes_nothing(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Root types on when the command has ended."""
    command = "(setsid sh -c 'sleep 4; cat >$ROOM/stolen; echo late' &)\necho soon\n"
    with screen_of(shell, tmp_path, "yes", "", f"{command}exit 0\n") as screen:
        assert screen.shows("status 0", patience=15), screen.text
        assert "soon" in screen.text
        screen.press(b"a password\r")
        assert until(tmp_path / "stolen")
        assert (tmp_path / "stolen").read_text() == ""
        assert "late" not in screen.text


def test_much_is_shown_to_its_end(shell: tuple[str, ...], tmp_path: Path) -> None:
    command = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i + 1)); done"
    with screen_of(shell, tmp_path, "", "2>err", command) as screen:
        assert screen.shows("status 0"), screen.text
        lines = [line for line in screen.text.split("\r\n") if line.startswith("line-")]
        assert lines == [f"line-{number}" for number in range(20000)]

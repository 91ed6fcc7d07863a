"""Our terminal lent to another program, as `smoke --shell` does it: driven through a terminal of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from contextlib import closing

from terminalkit import Screen

PROGRAM = """
import os, sys, time
from bundler.machine.terminal import attach, need_terminal
need_terminal()
print("soon", flush=True)
time.sleep(float(sys.argv[2]))
attach(["setsid", "--ctty", "--wait", "sh", "-c", sys.argv[1]], dict(os.environ))
print("status after", os.isatty(0))
"""
SHELL = """
stty size; stty -echo; echo ready; read word; echo "got <$word>"
trap 'echo interrupted; exit' INT; echo waiting; while :; do sleep 0.1; done
"""


def screen_of(script: str, *, after: float = 0) -> closing[Screen]:
    return closing(Screen([sys.executable, "-c", PROGRAM, script, str(after)]))


def test_keys_size_and_interrupts_are_the_programs_and_the_terminal_is_given_back() -> None:
    with screen_of(SHELL) as screen:
        assert screen.shows("33 77"), screen.text
        assert screen.shows("ready")
        screen.press(b"words and more\r")
        assert screen.shows("got <words and more>"), screen.text
        assert screen.shows("waiting")
        screen.press(b"\x03")
        assert screen.shows("interrupted"), screen.text
        assert screen.shows("status after True")
        assert termios.tcgetattr(screen.theirs) == screen.before
        assert screen.end() == 0


def test_what_is_typed_before_the_program_runs_is_not_lost() -> None:
    with screen_of('read word; echo "got <$word>"', after=0.5) as screen:
        assert screen.shows("soon")
        screen.press(b"early words\r")
        assert screen.shows("got <early words>"), screen.text


def test_what_runs_there_has_a_terminal_that_is_not_ours() -> None:
    with screen_of("echo its=$(tty); exit 5") as screen:
        assert screen.shows("status after True"), screen.text
        assert f"its={os.ttyname(screen.theirs)}\r" not in screen.text
        assert "its=/dev/pts/" in screen.text
        assert screen.end() == 0


def test_without_a_terminal_it_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "true"], input="", capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "standard input and output are not a terminal" in done.stderr

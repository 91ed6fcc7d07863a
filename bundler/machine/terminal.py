"""Our terminal, lent to a program on a machine.

The program gets a pseudo-terminal of its own: what runs on the machine could otherwise push input into ours (TIOCSTI).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import termios
import tty
from typing import TYPE_CHECKING

from bundler.errors import ConfigError
from bundler.process import start_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["attach", "need_terminal"]

_SIZE = 8  # bytes of a struct winsize


def need_terminal() -> None:
    """Raises ConfigError unless both standard input and standard output are terminals."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "standard input and output are not a terminal",
            where="--shell",
            remedy="Run it in a terminal, without pipes and redirections.",
        )


def attach(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Run ``argv`` to its end, with what is typed here as its input and what it prints shown here.

    It makes the terminal that it is given its controlling one itself (setsid --ctty), for Ctrl-C and job control.
    """
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    ours, theirs = os.openpty()
    try:
        with _resized(keyboard, ours):
            child = start_on(theirs, argv, env=env)
            os.close(theirs)
            try:
                with _raw(keyboard):
                    _relay(keyboard, screen, ours)
            finally:
                child.kill()
    finally:
        os.close(ours)


def _relay(keyboard: int, screen: int, terminal: int) -> None:
    """Until the program's side is closed, or our terminal is gone."""
    while True:
        ready, _, _ = select.select([keyboard, terminal], [], [])
        if terminal in ready:
            try:
                said = os.read(terminal, 1 << 16)
            except OSError:  # EIO: nobody has the other side open any more
                return
            if not said:
                return
            _write(screen, said)
        if keyboard in ready:
            typed = os.read(keyboard, 1 << 10)
            if not typed:
                return
            _write(terminal, typed)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    """Keys go through as they are, those that were pressed before, too; Ctrl-C is the program's."""
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)


@contextlib.contextmanager
def _resized(keyboard: int, terminal: int) -> Iterator[None]:
    """The program's terminal has the size of ours, also when that changes."""

    def follow(*_: object) -> None:
        size = fcntl.ioctl(keyboard, termios.TIOCGWINSZ, bytes(_SIZE))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)

    follow()
    before = signal.signal(signal.SIGWINCH, follow)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)

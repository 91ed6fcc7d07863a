"""Run programs: the only module that starts any.

Always with an argument list, never a shell. Standard input is empty unless given. Commands are shown with ``-v``, and
their output if they fail.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import IO

__all__ = [
    "TIMED_OUT",
    "Background",
    "Finished",
    "Group",
    "ToolFailed",
    "find_tool",
    "hide",
    "run",
    "shown",
    "start",
    "start_on",
]

log = logging.getLogger(__name__)
_HIDDEN: set[str] = set()
_GRACE = 2  # seconds from SIGTERM to SIGKILL
TIMED_OUT = 124
"""The exit status of a program that timed out, as in timeout(1)."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished program: its arguments, exit status and decoded output."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


class ToolFailed(Exception):  # noqa: N818 -- never shown: each caller translates it into its own BundlerError
    """A program failed or timed out."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(f"{shlex.join(finished.argv)} exited with {finished.status}")
        self.finished = finished

    def tail(self, lines: int = 20) -> str:
        """The last lines of its output, of standard error if there are any."""
        text = self.finished.stderr.strip() or self.finished.stdout.strip()
        return "\n".join(text.splitlines()[-lines:])


def hide(secrets: Iterable[str]) -> None:
    """Hide these values in URLs that programs print."""
    _HIDDEN.update(filter(None, secrets))


def shown(text: str) -> str:
    """``text`` with hidden values masked."""
    if not _HIDDEN:
        return text
    secret = re.compile("|".join(map(re.escape, sorted(_HIDDEN, key=len, reverse=True))))
    return re.sub(r"\w+://\S+", lambda url: secret.sub("…", url[0]), text)


def run(  # noqa: PLR0913 -- what a program is given, each by its name
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    timeout: float | None = None,
    stdin: IO[bytes] | None = None,
    group: Group | None = None,
) -> Finished:
    """Run a program, wait for it and return its output; it reads ``stdin``, an open file, or nothing.

    With ``group``, its descendants are ended together with it when it times out or we are interrupted.

    Raises :class:`ToolFailed` if ``check`` and the status is not 0, or after ``timeout`` seconds (status
    :data:`TIMED_OUT`); :class:`MissingToolError` if there is no such program.
    """
    words = tuple(str(word) for word in argv)
    log.info("$ %s", shlex.join(words))
    try:
        child = subprocess.Popen(
            words,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=group is not None,
        )
        with group.holding(child) if group else _alone(child):
            stdout, stderr = child.communicate(timeout=timeout)
        finished = Finished(argv=words, status=child.returncode, stdout=_text(stdout), stderr=_text(stderr))
    except subprocess.TimeoutExpired as late:
        finished = Finished(argv=words, status=TIMED_OUT, stdout=_text(late.stdout), stderr=_text(late.stderr))
        raise ToolFailed(finished) from late
    except FileNotFoundError as missing:
        raise MissingToolError(f"no such program: {words[0]}") from missing
    for line in shown(finished.stdout + finished.stderr).splitlines():
        log.debug("  %s", line)
    if check and finished.status != 0:
        raise ToolFailed(finished)
    return finished


@contextlib.contextmanager
def _alone(child: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        child.kill()
        raise
    finally:
        _forget(child)


def _forget(child: subprocess.Popen[bytes]) -> None:
    """Wait for it without its pipes, which other processes may keep open."""
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    child.wait()


class Group:
    """Programs of :func:`run`, possibly in several threads, that are ended together, each with its descendants.

    Each has its own session, so that Ctrl-C in the terminal reaches only us, and we end them.
    """

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._over = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def holding(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        """Wait for ``child`` at the end of the block; end it if there is an exception."""
        with self._lock:
            self._running.add(child.pid)
            over = self._over
        try:
            if over:
                raise ToolFailed(Finished(argv=("a program",), status=TIMED_OUT, stdout="", stderr=""))
            yield
        finally:
            _end_session(child.pid)
            _forget(child)
            with self._lock:
                self._running.discard(child.pid)

    def end(self) -> None:
        """End all running programs, in whatever thread, and any that are started later."""
        with self._lock:
            self._over = True
            running = tuple(self._running)
        for pid in running:
            _end_session(pid)


def _end_session(leader: int) -> None:
    """End the remaining processes of a program's session: with SIGTERM, then with SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + _GRACE
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)
            while time.monotonic() < end and _runs(leader):
                time.sleep(0.02)


def _runs(leader: int) -> bool:
    """Whether the session still has a process that is not a zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            state, _, group = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
            if int(group) == leader and state not in "ZX":
                return True
    return False


class Background:
    """A program in the background, in its own session (Ctrl-C does not reach it); see :func:`start`."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self.pid = child.pid

    def read_line(self) -> str:
        """The next line of its output; empty at the end. Only without an ``output`` file."""
        return "" if self._child.stdout is None else _text(self._child.stdout.readline())

    def ended(self, *, within: float = 0) -> bool:
        """Whether it has ended; wait up to ``within`` seconds for that."""
        try:
            self._child.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill it, unless it has ended already."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


def start(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, output: IO[bytes] | None = None
) -> Background:
    """Start a program in the background. Its output goes to ``output``, or else to a pipe.

    Its standard input is a pipe that only we hold: it gets end of file when we exit, even if we are killed.
    """
    words = tuple(str(word) for word in argv)
    log.info("$ %s &", shlex.join(words))
    try:
        child = subprocess.Popen(
            words,
            env=None if env is None else dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except FileNotFoundError as missing:
        raise MissingToolError(f"no such program: {words[0]}") from missing
    return Background(child)


def start_on(terminal: int, argv: Sequence[str | Path], *, env: Mapping[str, str]) -> Background:
    """Start a program whose input and output are a terminal, an open descriptor."""
    words = tuple(str(word) for word in argv)
    log.info("$ %s &", shlex.join(words))
    return Background(subprocess.Popen(words, env=dict(env), stdin=terminal, stdout=terminal, stderr=terminal))


def find_tool(name: str, *, package: str, purpose: str) -> str:
    """The absolute path of a program. Raises :class:`MissingToolError`, which names its Debian package."""
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(
            f"{name} is missing; {purpose} needs it",
            remedy=f"Install it, on Debian and Ubuntu: apt-get install {package}",
        )
    return path


def _text(output: bytes | str | None) -> str:
    """Decode output, with every line ending converted to a newline."""
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""
    return text.replace("\r\n", "\n").replace("\r", "\n")

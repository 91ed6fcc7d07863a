"""Run conda-bundler in separate processes, without starting Python each time.

Starting Python and importing the command takes most of the time of a small build, and the tests run it a thousand
times. So a server process imports it once and forks for each run. A run has its own arguments, environment, directory,
pipes and exit status. The programs that it starts are started normally, except conda-lock and our solver: see
readypython.py.

What Python reads only at its start is inherited from the server. So a run with different variables for Python or the
locale starts its own Python; and two servers with different hash seeds take turns, so that output that depends on the
order of sets is noticed. Tests of signals, of reproducible builds and of the start itself start Python.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from readyclient import as_bytes, read_all, word
from readypython import AT_START, ready_python, starting_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["conda_bundler"]

TIMEOUT = 300.0
# Modules that `bundler.cli` imports when a command is run.
_IMPORTED = (
    "bundler.build",
    "bundler.cli",
    "bundler.commandline.durations",
    "bundler.config.project",
    "bundler.lock.condalock",
    "bundler.lock.freshness.check",
    "bundler.progress",
    "bundler.reader.diff",
    "bundler.reader.inspect",
    "bundler.reader.summary",
    "bundler.reader.verify",
    "bundler.wheels.install",
    "installer",
    "platformdirs",
)


def conda_bundler(
    *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = TIMEOUT
) -> subprocess.CompletedProcess[str]:
    """Run conda-bundler and wait for it; ``env`` is added to our environment."""
    environ = os.environ | (env or {})
    argv = [str(word) for word in words]
    if _at_start(environ) != _STARTED_WITH:
        whole = [sys.executable, "-m", "bundler", *argv]
        return subprocess.run(whole, cwd=cwd, env=environ, capture_output=True, text=True, check=False, timeout=timeout)
    return next(_FORKING).run(_Run(argv, str(cwd or Path.cwd()), dict(environ)), timeout)


def _at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(AT_START)}


@dataclass(frozen=True)
class _Run:
    """The parameters of a process."""

    argv: list[str]
    cwd: str
    environ: dict[str, str]


class _Forking:
    """A server process that has imported conda-bundler, started on first use."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def run(self, run: _Run, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run conda-bundler. Raises TimeoutExpired after ``timeout`` seconds."""
        with self._lock:
            line = self._line or self._start()
            pipes = [os.pipe(), os.pipe()]
            readers = [_Reader(read) for read, _ in pipes]
            question = json.dumps(vars(run)).encode()
            socket.send_fds(line, [as_bytes(len(question))], [write for _, write in pipes])
            line.sendall(question)
            for _, write in pipes:
                os.close(write)
            status = _end_of(word(line), line, timeout)
            if status is None:
                raise subprocess.TimeoutExpired(run.argv, timeout)
            stdout, stderr = (reader.text() for reader in readers)
        return subprocess.CompletedProcess(run.argv, status, stdout, stderr)

    def _start(self) -> socket.socket:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), str(ready_python())],
                env=os.environ | _STARTED_WITH | {"PYTHONHASHSEED": str(self._seed)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parent.parent.parent,
            )
        atexit.register(self._stop)
        return self._line

    def _stop(self) -> None:
        if self._line and self._process:
            self._line.close()
            self._process.wait()


class _Reader(threading.Thread):
    """Reads a pipe to its end, so that the writer is not blocked."""

    def __init__(self, number: int) -> None:
        super().__init__(daemon=True)
        self._number, self._found = number, b""
        self.start()

    def run(self) -> None:
        with open(self._number, "rb") as file:  # noqa: PTH123 -- a descriptor
            self._found = file.read()

    def text(self) -> str:
        self.join()
        return self._found.decode().replace("\r\n", "\n").replace("\r", "\n")  # like text=True


def _end_of(pid: int, line: socket.socket, timeout: float) -> int | None:
    """The exit status of a run, or None if it was killed on a timeout."""
    if select.select([line], [], [], timeout)[0]:
        return word(line)
    os.kill(pid, signal.SIGKILL)
    word(line)
    return None


_STARTED_WITH = _at_start(os.environ)
_FORKING: Iterator[_Forking] = itertools.cycle([_Forking(1), _Forking(2)])


# --- the server process


def _serve(line: socket.socket) -> tuple[_Run, list[int]]:
    """Fork for each request; returns only in the child, with its parameters."""
    while True:
        try:
            size, descriptors, _, _ = socket.recv_fds(line, len(as_bytes(0)), 2)
            if not size:
                os._exit(0)
            run = _Run(**json.loads(read_all(line, int.from_bytes(size, "big"))))
        except (EOFError, ConnectionError):
            os._exit(0)
        pid = os.fork()
        if not pid:
            line.close()
            return run, descriptors
        for number in descriptors:
            os.close(number)
        line.sendall(as_bytes(pid))
        _, status = os.waitpid(pid, 0)
        line.sendall(as_bytes(os.waitstatus_to_exitcode(status)))


def _become(run: _Run, descriptors: list[int]) -> None:
    """Set up the process as ``python -m bundler`` would."""
    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(run.cwd)
    os.environ.clear()
    os.environ.update(run.environ)
    sys.argv[1:] = run.argv
    sys.path[0] = run.cwd


def _as_python_does() -> None:
    """Run the command and exit, without Python's cleanup of all objects."""
    from bundler.cli import main

    status: object = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    import gc
    import importlib

    sys.path[0] = ""
    for module in _IMPORTED:
        importlib.import_module(module)
    asked, python = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    with starting_with(python):
        gc.freeze()  # so that the garbage collector does not touch these pages, which would copy them
        _become(*_serve(asked))
        _as_python_does()

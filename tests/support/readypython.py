"""A Python that has already imported conda-lock and our solver, for the processes of a lock.

conda-lock takes almost two seconds of CPU to start and our solver two thirds of a second, and the tests lock some 300
times. So a server process imports both once and forks for each start: a client program replaces Python, passes its
arguments, environment, directory and open files to the server, waits, and exits like the forked process. Everything
else is unchanged: conda-lock starts the solver through its launcher, and ending a program ends its children.

What Python reads only at its start is inherited from the server, and so is what conda reads when it is imported
(conda-lock includes a conda, which reads its configuration then). So a start with different variables for these or for
the locale starts its own Python; tests of timeouts, and others with the fixture `real_starts`, start Python.
"""

from __future__ import annotations

import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import readyclient
from readyclient import REFUSED, as_bytes, read_all

from bundler.lock.shim import launcher
from bundler.lock.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bundler.process import Finished

__all__ = ["AT_START", "ready_python", "starting_with", "words_of"]

# In the names of variables: what Python, the loader and the C library look at once.
AT_START = ("LANG", "LC_", "PYTHON", "LD_", "MALLOC_")
# The same for what conda-lock imports; the rest of what it finds there it looks at when it is run.
_AT_IMPORT = ("CONDA", "HOME", "MAMBA", "POETRY_", "UNIXCONFDIR", "XDG_")
_OURS = "CONDA_BUNDLER_"
# The forking process starts with the first test that needs it, and that one may have variables of its own.
_VARIABLES = dict(os.environ)
_IMPORTED = ("conda_lock.conda_lock", "bundler.lock.shim.conda")
_GRACE = 2.0
_AS_EVER = Watch.run, sys


def ready_python() -> Path:
    """An executable that runs Python scripts; the server process starts with the first one."""
    return _Ready.one().path


def words_of(python: Path) -> list[str]:
    """The command that it runs, without the shell, which would set ``PWD``."""
    return [sys.executable, "-I", "-S", readyclient.__file__, str(python.with_name("line"))]


@contextmanager
def starting_with(python: Path | None) -> Iterator[None]:
    """Start a lock's processes with ``python`` in this block, or for the rest of a forked process.

    Without ``python``, they are started as in production.
    """
    before = Watch.run, launcher.sys  # type: ignore[attr-defined]
    started = _started_with(python), _Sys(sys.executable, str(python))
    Watch.run, launcher.sys = started if python else _AS_EVER  # type: ignore[method-assign, attr-defined, assignment]
    try:
        yield
    finally:
        Watch.run, launcher.sys = before  # type: ignore[method-assign, attr-defined]


def _started_with(python: Path | None) -> Callable[..., Finished]:
    beside = str(Path(sys.executable).with_name("conda-lock"))
    run, _ = _AS_EVER

    def started(watch: Watch, argv: Sequence[str | Path], **options: Any) -> Finished:
        return run(watch, [*words_of(python), *argv] if python and str(argv[0]) == beside else argv, **options)

    return started


class _Sys:
    """``sys`` for the launcher; a test may still replace ``executable``."""

    def __init__(self, before: str, ready: str) -> None:
        self._before, self._ready = before, ready

    @property
    def executable(self) -> str:
        return self._ready if sys.executable == self._before else sys.executable


class _Ready:
    """The client program and its server process, for the lifetime of this process."""

    _one: _Ready | None = None

    @classmethod
    def one(cls) -> _Ready:
        cls._one = cls._one or cls()
        return cls._one

    def __init__(self) -> None:
        self._room = tempfile.TemporaryDirectory(
            prefix="ready-python-", dir="/tmp"
        )  # the path of a socket has to be short
        self.path = Path(self._room.name, "python")
        words = words_of(self.path)
        self.path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        self.path.chmod(0o755)
        self._line = socket.socket(socket.AF_UNIX)
        self._line.bind(words[-1])
        self._line.listen(64)
        self._life: Any = None
        threading.Thread(target=self._start_when_asked, daemon=True).start()

    def _start_when_asked(self) -> None:
        select.select([self._line], [], [])
        self._life = subprocess.Popen(
            [sys.executable, __file__, str(self._line.fileno())],
            env={name: value for name, value in _VARIABLES.items() if not name.startswith("PYTHON")}
            | {"PYTHONUTF8": "1", "PYTHONHASHSEED": str(os.getpid() % 1000)},
            stdin=subprocess.PIPE,  # it ends when we do
            stdout=subprocess.DEVNULL,
            pass_fds=[self._line.fileno()],
            cwd=Path(__file__).parents[2],
        )

    def end(self) -> None:
        """Before this process does."""
        self._line.close()
        if self._life:
            self._life.communicate()
        self._room.cleanup()


# --- the server process


def _fork_for_each(listening: socket.socket, mine: dict[bytes, bytes]) -> None:
    """Fork for each start; returns only in the children, set up as requested.

    ``mine`` were our variables before anything was imported.
    """
    imported = {name: value for name, value in os.environb.items() if mine.get(name) != value}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        if select.select([sys.stdin, listening], [], [])[0][0] is sys.stdin:
            os._exit(0)
        line, _ = listening.accept()
        if not os.fork():
            break
        line.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listening.close()
    size, files, _, _ = socket.recv_fds(line, len(as_bytes(0)), 3)
    cwd, umask, count, *words = read_all(line, int.from_bytes(size, "big")).split(b"\0")
    environ = dict(word.partition(b"=")[::2] for word in words[int(count) :])
    argv = [os.fsdecode(word) for word in words[: int(count)]]
    if _looked_at(environ, argv[0]) != _looked_at(mine, argv[0]):
        line.sendall(as_bytes(REFUSED))
        os._exit(0)
    if child := os.fork():
        for number in files:
            os.close(number)
        status = _end_of(child, line)
        with suppress(BrokenPipeError):  # nobody is waiting
            line.sendall(as_bytes(status))
        os._exit(0)
    line.close()
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.umask(int(umask))
    os.environb.clear()
    os.environb.update(environ | (imported if _is_conda_lock(argv[0]) else {}))
    sys.argv[:] = argv
    sys.path[0] = os.path.dirname(sys.argv[0])  # noqa: PTH120 -- as Python does it
    tempfile.tempdir = None


def _looked_at(environ: dict[bytes, bytes], script: str) -> dict[str, bytes]:
    """The variables that matter before ``script`` is run."""
    names = AT_START + (_AT_IMPORT if _is_conda_lock(script) else ())
    found = {os.fsdecode(name): value for name, value in environ.items()}
    return {name: value for name, value in found.items() if name.startswith(names) and not name.startswith(_OURS)}


def _is_conda_lock(script: str) -> bool:
    return script.endswith("conda-lock")


def _end_of(child: int, line: socket.socket) -> int:
    """Its exit status. It is ended by a signal if its client has gone; its children end with it."""
    ended = os.pidfd_open(child)
    for number in (signal.SIGTERM, signal.SIGKILL):
        gone = line.fileno() in select.select([ended, line.fileno()], [], [])[0] if number == signal.SIGTERM else True
        if not gone:
            break
        with suppress(ProcessLookupError):
            os.killpg(child, number)
        if select.select([ended], [], [], _GRACE)[0]:
            break
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _import_all() -> None:
    import gc
    import importlib
    import warnings

    sys.path[0] = ""
    with warnings.catch_warnings():
        for module in _IMPORTED:
            importlib.import_module(module)
    _take_directory_of_run()
    gc.freeze()  # so that the garbage collector does not touch these pages, which would copy them


def _take_directory_of_run() -> None:
    """Use the run's directory for relative channels; py-rattler has that of the import as a default argument."""
    from rattler.channel import ChannelConfig

    alias, _ = ChannelConfig.__init__.__defaults__ or ()
    ChannelConfig.__init__.__defaults__ = (alias, None)


if __name__ == "__main__":
    del os.environ["PYTHONHASHSEED"]  # Python then chooses a random one
    before = dict(os.environb)
    _import_all()
    _fork_for_each(socket.socket(fileno=int(sys.argv[1])), before)
    runpy.run_path(sys.argv[0], run_name="__main__")

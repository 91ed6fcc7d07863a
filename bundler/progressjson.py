"""Progress for programs (``--progress json``): one JSON object a line on standard error.

The schema of a line is what ``conda-bundler schema progress`` prints (``bundler/outputs/progress.py``).
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bundler.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["JsonProgress", "write_event"]

_EVERY = 1.0  # seconds between two events on the same task
_NOTE = "note: "
_VERSION = 1
_STARTED = time.monotonic()
_LOCK = threading.Lock()


def write_event(event: str, **said: Any) -> None:
    """One line. Printable ASCII only, so that nothing in it means anything to a terminal or to another encoding."""
    line = json.dumps({"v": _VERSION, "event": event, "seconds": round(time.monotonic() - _STARTED, 3)} | said)
    with _LOCK:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 -- this is the place that prints


class _Task:
    """The begin, the now and then, and the end of what takes long."""

    def __init__(self, number: int, text: str, total: int) -> None:
        self._said: Mapping[str, Any] = {"task": number, "text": text, "total": total}
        self._told = time.monotonic()
        self._lock = threading.Lock()
        write_event("begin", **self._said)

    def show(self, **counts: int) -> None:
        with self._lock:
            if time.monotonic() - self._told < _EVERY:
                return
            self._told = time.monotonic()
        write_event("progress", **self._said, **counts)

    def end(self, **counts: int) -> None:
        write_event("end", **self._said, **counts)


class JsonProgress:
    """An event for each step and note; for what takes long a begin, one a second at most, and an end."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def step(self, text: str) -> None:
        if text.startswith(_NOTE):
            write_event("note", text=text.removeprefix(_NOTE))
        else:
            write_event("step", text=text)

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        task, done = _Task(next(self._numbers), text, total), 0

        def advance(units: int) -> None:
            nonlocal done
            done += units
            task.show(done=done)

        yield advance
        task.end(done=done)

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Transfer]:
        task = _Task(next(self._numbers), text, total)
        transfer = Transfer(total, lambda now: task.show(done=now.files, bytes=now.bytes))
        yield transfer
        task.end(done=transfer.files, bytes=transfer.bytes)

    @contextmanager
    def waiting(self) -> Iterator[Callable[[str], None]]:
        told, told_at = "", 0.0

        def show(text: str) -> None:
            nonlocal told, told_at
            if text != told and time.monotonic() - told_at >= _EVERY:
                told, told_at = text, time.monotonic()
                write_event("waiting", text=text)

        yield show

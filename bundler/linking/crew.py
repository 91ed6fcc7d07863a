"""A pool of processes that share calls: py-rattler holds the GIL while it unpacks a package, so threads would not run
in parallel.

The workers are plain forks with pipes. An Executor uses semaphores, which require ``/dev/shm``; a chroot may lack it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Crew", "Failure", "end_with_parent"]

_PR_SET_PDEATHSIG = 1
_PLACE = 4
"""The size of a queue entry in bytes."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The call for ``place`` has raised an exception, with ``why`` as its text; or its process has ended, with
    ``status``: an exit status, or a negative signal number. ``place`` None: it has ended between two calls.
    """

    place: int | None
    why: str = ""
    status: int | None = None


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Crew:
    """Worker processes, one per processor, but at most ``most``. They are forked, so there must not be any threads yet;
    they end with us.
    """

    def __init__(self, call: Callable[[int], object], most: int) -> None:
        queue, self._queue = os.pipe()
        self._answers: dict[int, int] = {}
        parent = os.getpid()
        for _ in range(min(most, os.cpu_count() or 1)):
            answers, answering = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(self._queue)
                _serve(call, queue, answering, parent)
            os.close(answering)
            self._answers[child] = answers
        os.close(queue)

    def work(self, places: Iterable[int]) -> list[Failure]:
        """Make the call for each place, in about this order, and return the failures. This can be used only once."""
        with contextlib.suppress(BrokenPipeError), open(self._queue, "wb", buffering=0) as queue:  # noqa: PTH123
            queue.writelines(place.to_bytes(_PLACE, "big") for place in places)
        failures = [failure for child, answers in self._answers.items() for failure in _failures(child, answers)]
        return sorted(failures, key=lambda failure: (failure.place is None, failure.place or 0))


def _serve(call: Callable[[int], object], queue: int, answering: int, parent: int) -> None:
    """The main loop of a child. It writes ``[place]`` before each call, and ``[place, why or null]`` after it."""
    status = 1
    try:
        end_with_parent()
        while os.getppid() == parent and (asked := os.read(queue, _PLACE)):
            place = int.from_bytes(asked, "big")
            _answer(answering, place)
            _answer(answering, place, _why(call, place))
        status = 0
    finally:
        os._exit(status)


def _answer(answering: int, *words: object) -> None:
    with open(answering, "w", encoding="utf-8", closefd=False) as file:
        file.write(f"{json.dumps(words)}\n")


def _why(call: Callable[[int], object], place: int) -> str | None:
    try:
        call(place)
    except BaseException as error:  # noqa: BLE001 -- a panic of py-rattler is no Exception
        return str(error) or type(error).__name__
    return None


def _failures(child: int, answers: int) -> Iterator[Failure]:
    """The failures that the child reports, until it ends."""
    begun: int | None = None
    with open(answers, encoding="utf-8") as file:
        for place, *said in (json.loads(line) for line in file if line.endswith("\n")):
            begun = None if said else place
            if said and said[0] is not None:
                yield Failure(place=place, why=said[0])
    _, status = os.waitpid(child, 0)
    if begun is not None or status:
        yield Failure(place=begun, status=os.waitstatus_to_exitcode(status))

"""A lock while it lasts: what is being done, told to who waits for it, and ended when its time is up.

conda-lock prints nothing until it is done, and our solver is its child. So whoever does something appends a line to a
file: the solver, what stands for another solver, and we ourselves.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.errors import LockError
from bundler.printable import counted
from bundler.process import TIMED_OUT, Finished, Group, ToolFailed, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundler.progress import Progress

__all__ = ["Watch", "append_status", "told_duration", "watching"]

_LOOK_EVERY = 0.25  # seconds


class Watch:
    """What a lock may still do. ``status`` is the file with what is being done, ``where`` the environment spec."""

    def __init__(self, status: Path, *, seconds: float, where: str) -> None:
        self.status = status
        self.group = Group()
        self._seconds = seconds
        self._where = where
        self._end = time.monotonic() + seconds

    def now(self, text: str) -> None:
        """This is being done from now on. Raises what :meth:`check` raises."""
        self.check()
        append_status(self.status, text)

    def doing(self) -> str:
        """What is being done."""
        try:
            lines = self.status.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "starting"

    def check(self, _: int = 0) -> None:
        """Raises :class:`LockError` if the time is up."""
        if time.monotonic() >= self._end:
            raise self._late()

    def run(self, argv: Sequence[str | Path], **options: Any) -> Finished:
        """:func:`bundler.process.run`, for as long as there is time. Raises :class:`LockError` when it is up."""
        self.check()
        try:
            return run(argv, timeout=self._end - time.monotonic(), group=self.group, **options)
        except ToolFailed as failed:
            if failed.finished.status == TIMED_OUT and time.monotonic() >= self._end:
                raise self._late() from failed
            raise

    def _late(self) -> LockError:
        return LockError(
            f"timed out after {told_duration(self._seconds)}, while {self.doing()}",
            where=self._where,
            remedy="Allow more time (--lock-timeout 30m). If a channel or index does not answer, check the network and "
            "the proxy settings; if the solver is slow, pin versions in environment.yml.",
        )


@contextmanager
def watching(status: Path, *, seconds: float, where: str, progress: Progress | None = None) -> Iterator[Watch]:
    """A watch for the time of the ``with`` block, at whose end nothing that it has started runs any more."""
    watch = Watch(status, seconds=seconds, where=where)
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(watch, progress, over), daemon=True) if progress else None
    if teller:
        teller.start()
    try:
        yield watch
    finally:
        watch.group.end()
        over.set()
        if teller:
            teller.join()


def _tell(watch: Watch, progress: Progress, over: threading.Event) -> None:
    with progress.waiting() as show:
        while not over.wait(_LOOK_EVERY):
            show(watch.doing())


def append_status(status: Path | str, text: str) -> None:
    """``text`` as the last line of the file; what cannot be written is not told."""
    try:
        with Path(status).open("a", encoding="utf-8") as file:
            file.write(" ".join(text.split()) + "\n")
    except OSError:
        pass


def told_duration(seconds: float) -> str:
    """``10 minutes``, ``90 seconds``."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return counted(seconds, "second") if rest or not minutes else counted(minutes, "minute")

"""Monitor a running lock: report its current activity, and end it on a timeout.

conda-lock prints nothing until it is done, and our solver is its child. So everything that works appends lines to a
file: the solver, the wrapper of an external solver, and we ourselves.
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
    """The timeout and activity of a lock. ``status`` is the file with the activity, ``where`` the environment file."""

    def __init__(self, status: Path, *, seconds: float, where: str) -> None:
        self.status = status
        self.group = Group()
        self._seconds = seconds
        self._where = where
        self._end = time.monotonic() + seconds

    def now(self, text: str) -> None:
        """Set the current activity. Raises what :meth:`check` raises."""
        self.check()
        append_status(self.status, text)

    def doing(self) -> str:
        """The current activity."""
        try:
            lines = self.status.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "starting"

    def check(self, _: int = 0) -> None:
        """Raises :class:`LockError` on a timeout."""
        if time.monotonic() >= self._end:
            raise self._late()

    def run(self, argv: Sequence[str | Path], **options: Any) -> Finished:
        """:func:`bundler.process.run` with the remaining time. Raises :class:`LockError` on a timeout."""
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
    """A watch for the ``with`` block; programs that it has started are ended with the block."""
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
    """Append ``text`` as the last line of the file; errors are ignored."""
    try:
        with Path(status).open("a", encoding="utf-8") as file:
            file.write(" ".join(text.split()) + "\n")
    except OSError:
        pass


def told_duration(seconds: float) -> str:
    """``10 minutes``, ``90 seconds``."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return counted(seconds, "second") if rest or not minutes else counted(minutes, "minute")

"""What people see while they wait: bars on a terminal, plain lines elsewhere, all on standard error."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from bundler.printable import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console

__all__ = ["PlainProgress", "Progress", "QuietProgress", "RichProgress", "Transfer", "make_progress"]


_WAIT = 5  # seconds before it is said what is being waited for, and at least between two lines on that
_STILL_EVERY = 60  # seconds between two lines on the same
_TELL_EVERY = 15  # seconds between two lines on one download, where there is no bar


class Transfer:
    """What comes over the line: how many of ``total`` files are done, how many bytes came, how fast.

    To be told by many threads; ``show`` is called after each change.
    """

    def __init__(self, total: int, show: Callable[[Transfer], None] | None = None) -> None:
        self.total = total
        self.files = 0
        self.bytes = 0
        self.started = time.monotonic()
        self._show = show
        self._lock = threading.Lock()

    def moved(self, size: int) -> None:
        """``size`` bytes have come."""
        self._change(0, size)

    def done(self, files: int = 1) -> None:
        """So many files are complete, whether they came or were there."""
        self._change(files, 0)

    def _change(self, files: int, size: int) -> None:
        with self._lock:
            self.files += files
            self.bytes += size
            if self._show:
                self._show(self)

    def rate(self) -> str:
        """``12.3 MB, 4.5 MB/s``, on the average; nothing if nothing came."""
        if not self.bytes:
            return ""
        seconds = max(time.monotonic() - self.started, 1e-3)
        return f"{self.bytes / 1e6:.1f} MB, {self.bytes / seconds / 1e6:.1f} MB/s"


class Progress(Protocol):
    """What the steps report to."""

    def step(self, text: str) -> None:
        """A step begins: one short line, such as ``Locking environment.yml``."""

    def task(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A context whose value is called with the number of units (bytes, packages) just done."""

    def transfer(self, text: str, total: int) -> AbstractContextManager[Transfer]:
        """A context for the download of ``total`` files; its value is told of them."""

    def waiting(self) -> AbstractContextManager[Callable[[str], None]]:
        """A context whose value is called some times a second with what is being waited for; it is shown if it lasts.

        Other threads may call :meth:`step` meanwhile.
        """


class QuietProgress:
    """Says nothing (``-q``)."""

    def step(self, text: str) -> None:
        pass

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Transfer]:
        yield Transfer(total)

    @contextmanager
    def waiting(self) -> Iterator[Callable[[str], None]]:
        yield lambda text: None


class PlainProgress:
    """One line a step, for CI and pipes."""

    def step(self, text: str) -> None:
        print(printable_lines(text), file=sys.stderr, flush=True)  # noqa: T201 -- this is the place that prints

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        self.step(text)
        yield lambda done: None

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Transfer]:
        """A line now and then, and at the end if anything came."""
        self.step(text)
        told = time.monotonic()

        def show(transfer: Transfer) -> None:
            nonlocal told
            if transfer.bytes and time.monotonic() - told >= _TELL_EVERY:
                told = time.monotonic()
                self.step(f"  {transfer.files} of {total}, {transfer.rate()}")

        transfer = Transfer(total, show)
        yield transfer
        if transfer.bytes:
            self.step(f"  {total} of {total}, {transfer.rate()}")

    @contextmanager
    def waiting(self) -> Iterator[Callable[[str], None]]:
        """A line after some seconds, then one when something else is done, and now and then."""
        began = told_at = time.monotonic()
        told = ""

        def show(text: str) -> None:
            nonlocal told, told_at
            now = time.monotonic()
            if now - told_at < (_STILL_EVERY if text == told else _WAIT):
                return
            told, told_at = text, now
            self.step(f"  {text} ({now - began:.0f} s so far)")

        yield show


class RichProgress:
    """A bar with rates for each task, for terminals."""

    def __init__(self) -> None:
        self._live: Console | None = None
        """The one on which something moves."""

    def step(self, text: str) -> None:
        from rich.console import Console

        console = self._live or Console(stderr=True)
        console.print(printable_lines(text), markup=False, highlight=False)

    @contextmanager
    def waiting(self) -> Iterator[Callable[[str], None]]:
        """One line that moves, after some seconds, and is gone at the end."""
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console, began = Console(stderr=True), time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with ExitStack() as shown:
            bars = Progress(*columns, console=console, transient=True)
            task = bars.add_task("")

            def show(text: str) -> None:
                if self._live is None and time.monotonic() - began >= _WAIT:
                    shown.enter_context(bars)
                    self._live = console
                bars.update(task, description=escape(printable(text)))

            try:
                yield show
            finally:
                self._live = None

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(escape(printable(text)), total=total)
            yield lambda done: bars.advance(task, done)

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Transfer]:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
            *(TextColumn("{task.fields[rate]}"), TimeElapsedColumn()),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(escape(printable(text)), total=total, rate="")
            yield Transfer(total, lambda now: bars.update(task, completed=now.files, rate=now.rate()))


def make_progress(*, quiet: bool = False) -> Progress:
    """Bars where somebody watches, lines where nobody does, nothing if ``quiet``."""
    if quiet:
        return QuietProgress()
    return RichProgress() if sys.stderr.isatty() else PlainProgress()

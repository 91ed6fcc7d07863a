"""Progress output on stderr: bars on a terminal, plain lines elsewhere, events for programs."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from bundler.printable import printable, printable_lines
from bundler.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console

__all__ = [
    "FORMS",
    "PlainProgress",
    "Progress",
    "QuietProgress",
    "RichProgress",
    "Transfer",
    "make_progress",
    "set_form",
]


FORMS = ("auto", "bars", "plain", "json")
_WAIT = 5  # seconds before a wait is reported, and the least between two such lines
_STILL_EVERY = 60  # seconds between two lines about the same wait
_TELL_EVERY = 15  # seconds between two lines about one download, without a bar


class Progress(Protocol):
    """What the steps of a build report their progress to."""

    def step(self, text: str) -> None:
        """A step begins: one short line, such as ``Locking environment.yml``."""

    def task(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A context whose value is called with the number of units (bytes, packages) that were just completed."""

    def transfer(self, text: str, total: int) -> AbstractContextManager[Transfer]:
        """A context for the download of ``total`` files, with a :class:`Transfer`."""

    def waiting(self) -> AbstractContextManager[Callable[[str], None]]:
        """A context whose value is called several times a second with what we are waiting for; shown if it takes long.

        Other threads may call :meth:`step` at the same time.
        """


class QuietProgress:
    """No output (``-q``)."""

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
    """One line per step, for CI and pipes."""

    def step(self, text: str) -> None:
        print(printable_lines(text), file=sys.stderr, flush=True)  # noqa: T201 -- this is the place that prints

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        self.step(text)
        yield lambda done: None

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Transfer]:
        """A line from time to time, and one at the end if anything was downloaded."""
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
        """A line after some seconds, then whenever the text changes, and from time to time."""
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
        """The console of the active bar or spinner."""

    def step(self, text: str) -> None:
        from rich.console import Console

        console = self._live or Console(stderr=True)
        console.print(printable_lines(text), markup=False, highlight=False)

    @contextmanager
    def waiting(self) -> Iterator[Callable[[str], None]]:
        """A spinner, after some seconds, that is removed at the end."""
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


_form = "auto"


def set_form(form: str) -> None:
    """Set once, by the command line, which of FORMS :func:`make_progress` returns, like logging's level."""
    global _form  # noqa: PLW0603 -- one process shows its progress in one way
    _form = form


def make_progress(*, quiet: bool = False) -> Progress:
    """No output if ``quiet``; else the chosen form, by default bars on a terminal and lines elsewhere."""
    if quiet:
        return QuietProgress()
    if _form == "json":
        from bundler.progressjson import JsonProgress

        return JsonProgress()
    bars = sys.stderr.isatty() if _form == "auto" else _form == "bars"
    return RichProgress() if bars else PlainProgress()

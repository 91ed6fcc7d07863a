"""What people see while they wait: bars on a terminal, plain lines elsewhere, all on standard error."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["PlainProgress", "Progress", "QuietProgress", "RichProgress", "make_progress"]


class Progress(Protocol):
    """What the steps report to."""

    def step(self, text: str) -> None:
        """A step begins: one short line, such as ``Locking environment.yml``."""

    def task(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A context whose value is called with the number of units (bytes, packages) just done."""


class QuietProgress:
    """Says nothing (``-q``)."""

    def step(self, text: str) -> None:
        pass

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: None


class PlainProgress:
    """One line a step, for CI and pipes."""

    def step(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 -- this is the place that prints

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        self.step(text)
        yield lambda done: None


class RichProgress:
    """A bar with rates for each task, for terminals."""

    def step(self, text: str) -> None:
        from rich.console import Console

        Console(stderr=True, highlight=False).print(text, markup=False)

    @contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(text, total=total)
            yield lambda done: bars.advance(task, done)


def make_progress(*, quiet: bool = False) -> Progress:
    """Bars where somebody watches, lines where nobody does, nothing if ``quiet``."""
    if quiet:
        return QuietProgress()
    return RichProgress() if sys.stderr.isatty() else PlainProgress()

"""Whole processes, measured from outside and in turns: A B C, A B C, …, so that a busy minute hits all of them.

What is compared are ratios of medians.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundler.errors import BundlerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["BenchError", "Figures", "Sample", "Subject", "interleave", "measure"]


class BenchError(BundlerError):
    """A subject did not run: there is nothing to compare."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One process to measure. ``before`` puts its world right and is not measured; ``output`` is what it writes.

    One that may give up says so with a text that ``gives_up`` finds; it is run just once, as that takes long.
    """

    name: str
    argv: tuple[str | Path, ...]
    before: Callable[[], None]
    output: Path | None = None
    gives_up: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run: seconds on the clock, CPU seconds of the process and all its children (user and system together).

    ``peak`` is the resident memory of the largest single process among them, in bytes. One that ``gave_up`` has not
    done what it was to do, and says why: its time is no time for that.
    """

    wall: float
    cpu: float
    peak: int
    gave_up: str = ""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """All runs of a subject. ``size`` is its output's, in bytes; 0 if it has none."""

    name: str
    samples: tuple[Sample, ...] = field(repr=False)
    size: int

    @property
    def wall(self) -> float:
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def gave_up(self) -> str:
        """Why it has not done what it was to do; empty if it has."""
        return next((sample.gave_up for sample in self.samples if sample.gave_up), "")

    @property
    def peak(self) -> int:
        return max(sample.peak for sample in self.samples)


def interleave(
    subjects: Sequence[Subject], *, runs: int, warm_up: bool, environ: Mapping[str, str], log: Path
) -> dict[str, Figures]:
    """Measure ``subjects`` in turns, ``runs`` times; by name. The round before, to ``warm_up``, does not count.

    What they print goes to ``log``. Raises :class:`BenchError` if one fails.
    """
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in subjects}
    for turn in range(0 if warm_up else 1, runs + 1):
        for subject in subjects:
            if subject.gives_up and turn != 1:
                continue
            sample = _run(subject, environ, log)
            told = sample.gave_up or ("" if turn else "(warm-up)")
            sys.stderr.write(f"  {subject.name:<40} {sample.wall:6.2f} s   {told}".rstrip() + "\n")
            if turn:
                samples[subject.name].append(sample)
    return {
        subject.name: Figures(
            name=subject.name, samples=tuple(samples[subject.name]), size=_size(subject.output) if subject.output else 0
        )
        for subject in subjects
    }


def _run(subject: Subject, environ: Mapping[str, str], log: Path) -> Sample:
    subject.before()
    os.sync()  # what the one before has left to write is not the next one's
    return measure(subject.name, subject.argv, environ, log, gives_up=subject.gives_up)


def measure(
    name: str, words: Sequence[str | Path], environ: Mapping[str, str], log: Path, *, gives_up: str | None = None
) -> Sample:
    """One run of a process. What it prints goes to ``log``. Raises :class:`BenchError` if it fails, but for what
    ``gives_up`` finds in there.
    """
    argv = [str(word) for word in words]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # wait4 tells the child's own resources. Its peak starts at ours, which is why nothing heavy is imported here.
    started = time.monotonic()
    child = os.posix_spawnp(argv[0], argv, environ, file_actions=actions)
    _, status, used = os.wait4(child, 0)
    wall = time.monotonic() - started
    reason = ""
    if status and gives_up and (found := re.search(gives_up, log.read_text(encoding="utf-8", errors="replace"))):
        reason = f"gives up: {' '.join(found[0].split())}"
    elif status:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
        raise BenchError(f"ended with status {os.waitstatus_to_exitcode(status)}:\n{tail}", where=name)
    return Sample(wall=wall, cpu=used.ru_utime + used.ru_stime, peak=used.ru_maxrss << 10, gave_up=reason)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

"""What the workers do."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import shared_task

REPORTS = Path(os.environ.get("STATE_DIRECTORY", "."), "reports")
_KEPT = 7 * 86400  # seconds


@shared_task
def report(name: str, lines: int) -> int:
    """Write a report, a line a second, and give it its name when it is whole; how many lines it has.

    Put your own long task in its place. Done twice it must be as good as done once.
    """
    REPORTS.mkdir(exist_ok=True)
    partial = REPORTS / f".{name}.partial"
    with partial.open("w", encoding="utf-8", buffering=1) as file:
        for number in range(1, lines + 1):
            time.sleep(1)
            file.write(f"line {number}\n")
    partial.replace(REPORTS / f"{name}.txt")
    return lines


@shared_task
def tidy() -> int:
    """Remove reports of more than a week ago; how many."""
    limit = time.time() - _KEPT
    old = [path for path in REPORTS.glob("*.txt") if path.stat().st_mtime < limit]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)

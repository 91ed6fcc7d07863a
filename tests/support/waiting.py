"""Waiting for what will come about, however slow the machine is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATIENCE", "until"]

PATIENCE = 60.0  # seconds: what is to happen within five has taken twenty on a machine that does other things as well


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether the condition holds within so many seconds; it is tried once at least."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True

"""Counters of downloads, for progress output."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Transfer"]


class Transfer:
    """Downloads: how many of ``total`` files are complete, how many bytes were received, and the rate.

    Thread-safe; ``show`` is called after each change.
    """

    def __init__(self, total: int, show: Callable[[Transfer], None] | None = None) -> None:
        self.total = total
        self.files = 0
        self.bytes = 0
        self.started = time.monotonic()
        self._show = show
        self._lock = threading.Lock()

    def moved(self, size: int) -> None:
        """Count ``size`` received bytes."""
        self._change(0, size)

    def done(self, files: int = 1) -> None:
        """Count complete files, whether downloaded or already there."""
        self._change(files, 0)

    def _change(self, files: int, size: int) -> None:
        with self._lock:
            self.files += files
            self.bytes += size
            if self._show:
                self._show(self)

    def rate(self) -> str:
        """``12.3 MB, 4.5 MB/s`` on average; empty if nothing was received."""
        if not self.bytes:
            return ""
        seconds = max(time.monotonic() - self.started, 1e-3)
        return f"{self.bytes / 1e6:.1f} MB, {self.bytes / seconds / 1e6:.1f} MB/s"

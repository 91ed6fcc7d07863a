"""What comes over the line, counted: how progress is told of downloads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Transfer"]


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

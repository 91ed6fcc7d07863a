"""How slow a server may be.

One that sends a byte now and then, in the middle of a header or of a file, never meets a read timeout. So a request is
ended, wherever it is, when too little comes for some minutes: its socket is shut down, and whoever reads there goes on.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from threading import Timer
from typing import TYPE_CHECKING

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from types import TracebackType

    import urllib3
    from typing_extensions import Self
    from urllib3.response import HTTPResponse

__all__ = ["LEAST", "Attempt", "watch_over"]

_WINDOW = 120
"""Seconds over which the bytes that come are counted; more where a server may be silent for over half of that."""
LEAST = 1 << 10
"""Bytes a second that have to come in that time, on the average."""
_HERE = threading.local()
"""The attempt that a thread is at."""


class Attempt:
    """A request of the thread that makes it, in a ``with`` block, with what it is redirected to and all answers."""

    def __init__(self, *, read_timeout: float) -> None:
        self.seconds = max(_WINDOW, 2 * read_timeout)
        self.is_slow = False
        self._is_over = False
        self._came = 0
        self._line: socket.socket | None = None
        self._timer: Timer | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        _HERE.attempt = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        del _HERE.attempt
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._use(None)

    def came(self, size: int) -> None:
        """So many bytes of a file have come."""
        self._came += size

    def end(self) -> None:
        """Let whoever reads see the end of the connection."""
        with self._lock:
            self._shut()

    def uses(self, line: socket.socket) -> None:
        """``line`` is what the thread waits at from now on."""
        with self._lock:
            self._use(socket.socket(fileno=os.dup(line.fileno())))  # the file itself is handed over to TLS
            if self._timer is None:
                self._start()
            if self._is_over:
                self._shut()

    def _use(self, line: socket.socket | None) -> None:
        if self._line:
            self._line.close()
        self._line = line

    def _shut(self) -> None:
        self._is_over = True
        if self._line:
            with suppress(OSError):  # the other side has closed it
                self._line.shutdown(socket.SHUT_RDWR)

    def _start(self) -> None:
        self._came = 0
        self._timer = Timer(self.seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            if self._line is None:
                return
            if self._came >= self.seconds * LEAST:
                self._start()
                return
            self.is_slow = True
            self._shut()


def watch_over(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    """``manager``, each of whose requests belongs to an :class:`Attempt`."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return manager


class _Watched(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        line = super()._new_conn()
        _HERE.attempt.uses(line)
        return line

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3
        _HERE.attempt.uses(self.sock)
        return super().getresponse()


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS

"""A channel behind a real HTTP server on loopback, which can be as bad as servers are.

It speaks HTTP/1.1 with connections that stay open, ranges and ETags, as object stores and Artifactory do. What is to go
wrong is said by the end of a path: ``server.wrong["leaf-1.0-0.conda"] = [Trouble(status=503), Trouble(cut=100)]`` meets
the first two requests for it, and the third is answered as it should be. Every request is kept in ``server.asked``.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message
    from pathlib import Path

__all__ = ["PASSWORD", "TOKEN", "USER", "Asked", "ChannelServer", "Trouble", "serve"]

USER, PASSWORD, TOKEN = "me", "pass-w0rd-of-the-channel", "tk-0f-the-channel"
_PATIENCE = 30  # seconds, for another request
_RANGE = re.compile(r"bytes=(\d+)-$")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One bad answer.

    ``status`` and ``headers`` in place of the file; or the file with only ``cut`` of its bytes, though all were
    promised (``silent``: and nothing was promised; ``chunked``: not how many), or ``stall`` seconds of silence after
    these, or with one bit ``flipped``, or under another ``etag``; from its beginning, whatever range was asked for
    (``no_ranges``), or from there, whatever file was meant (``no_if_range``). ``late``: the silence comes before it.
    ``slam``: no answer at all. ``accompanied``: no answer before there is another request beside this one.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: float = 0
    silent: bool = False
    flipped: bool = False
    etag: str | None = None
    no_ranges: bool = False
    no_if_range: bool = False
    late: bool = False
    chunked: bool = False
    slam: bool = False
    accompanied: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came, and when (monotonic seconds)."""

    method: str
    path: str
    headers: Message
    at: float


class ChannelServer(ThreadingHTTPServer):
    """Serves ``directory`` at ``/open``; at ``/closed``, ``/bearer`` and ``/t/<token>/token`` to who may have it."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.directory = directory
        self.wrong: dict[str, list[Trouble]] = {}
        self.asked: list[Asked] = []
        self.connections = 0
        self.at_once = self.most_at_once = 0
        self.two_at_once = threading.Event()
        self.lock = threading.Lock()
        self.stalled = threading.Event()
        self.stopping = threading.Event()

    def url(self, room: str = "open", credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.server_port}/{room}"

    def requests(self, end: str) -> list[Asked]:
        """What was asked for by GET and ends so."""
        return [asked for asked in self.asked if asked.path.endswith(end) and asked.method == "GET"]

    def trouble(self, path: str) -> Trouble | None:
        """The next bad answer for ``path``."""
        with self.lock:
            for end, troubles in self.wrong.items():
                if path.endswith(end) and troubles:
                    return troubles.pop(0)
        return None


@contextmanager
def serve(directory: Path) -> Iterator[ChannelServer]:
    """A server on a free port of loopback, for the time of the ``with`` block."""
    with ChannelServer(directory) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: ChannelServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.append(
                Asked(method=self.command, path=self.path, headers=self.headers, at=time.monotonic())
            )
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            if self.server.at_once > 1:
                self.server.two_at_once.set()
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self) -> None:
        path = self._let_in()
        if path is None:
            return
        trouble = self.server.trouble(path) or Trouble()
        file = self.server.directory / path
        if trouble.accompanied:
            self.server.two_at_once.wait(_PATIENCE)
        if trouble.slam:
            self.close_connection = True
        elif trouble.status != 200:
            self._refuse(trouble.status, trouble.headers)
        elif not file.is_file():
            self._refuse(404, {})
        else:
            self._stall(trouble.stall if trouble.late else 0)
            self._send(file.read_bytes(), trouble)

    def _let_in(self) -> str | None:
        """The path below the channel, also for who takes us for a proxy; None if the door stays shut."""
        self.path = re.sub(r"^http://[^/]*", "", self.path)
        rooms = {
            "/open/": None,
            "/closed/": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
            "/bearer/": f"Bearer {TOKEN}",
            f"/t/{TOKEN}/open/": None,
            f"/t/{TOKEN}/token/": None,
        }
        for room, wanted in rooms.items():
            if self.path.startswith(room):
                if wanted in (None, self.headers["Authorization"]):
                    return self.path.removeprefix(room)
                self._refuse(401, {"WWW-Authenticate": 'Basic realm="channel"'})
                return None
        self._refuse(404, {})
        return None

    def _refuse(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, trouble: Trouble) -> None:
        if trouble.flipped:
            content = content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
        etag = trouble.etag or f'"{hashlib.md5(content).hexdigest()}"'
        start = self._start(etag, trouble)
        body = content[start:]
        if start and start >= len(content):
            self._refuse(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if trouble.silent:
            self.send_header("Connection", "close")
        elif trouble.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(body if trouble.cut is None else body[: trouble.cut], trouble)

    def _send_body(self, content: bytes, trouble: Trouble) -> None:
        if trouble.chunked:
            self._send_chunked(content, end=trouble.cut is None)
        else:
            self.wfile.write(content)
        self.wfile.flush()
        self._stall(trouble.stall)
        if trouble.cut is not None or trouble.silent:
            self.close_connection = True

    def _stall(self, seconds: float) -> None:
        if seconds:
            self.server.stalled.set()
            self.server.stopping.wait(seconds)

    def _send_chunked(self, content: bytes, *, end: bool) -> None:
        for start in range(0, len(content), 50_000):
            chunk = content[start : start + 50_000]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if end:
            self.wfile.write(b"0\r\n\r\n")

    def _start(self, etag: str, trouble: Trouble) -> int:
        """The first byte that is asked for; 0 for the whole, also if it is not the file that was begun with."""
        asked = _RANGE.match(self.headers["Range"] or "")
        same = trouble.no_if_range or self.headers["If-Range"] in (None, etag)
        if asked is None or trouble.no_ranges or not same:
            return 0
        return int(asked[1])

    def log_message(self, *_: object) -> None:
        pass

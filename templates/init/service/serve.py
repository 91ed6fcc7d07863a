"""A minimal HTTP service. Replace it with yours."""

from __future__ import annotations

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGES = {"/": "Hello.\n", "/healthz": "ok\n"}


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of a few pages."""

    def do_GET(self) -> None:
        """The method's name is http.server's."""
        page = PAGES.get(self.path, "There is no such page.\n").encode()
        self.send_response(200 if self.path in PAGES else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    def do_HEAD(self) -> None:
        """The same without its body."""
        self.do_GET()


def main() -> None:
    """Serve on HOST and PORT until systemd sends SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    address = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
    with ThreadingHTTPServer(address, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()

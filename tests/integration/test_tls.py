"""A channel behind a certificate of a company's own, as REQUESTS_CA_BUNDLE names it."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from bundler.fetch import trust
from bundler.fetch.download import Downloader, DownloadFailed
from bundler.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a file, and the certificate of who serves it."""
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    certificate, key = tmp_path / "own-ca.pem", tmp_path / "key.pem"
    run(["openssl", *made.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}/file", certificate
        server.shutdown()


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", *trust._OTHERS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(trust, "_ADOPTED", {})


def fetch(url: str, part: Path) -> bytes:
    trust.adopt_certificates()
    Downloader(retries=0, read_timeout=20, connections=1).download([url], part, lambda _: None)
    return part.read_bytes()


def test_requests_ca_bundle_is_trusted(
    served: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = served
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert fetch(url, tmp_path / "part") == b"hello"


def test_without_it_the_variable_is_named(served: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"certificate is not trusted .*SSL_CERT_FILE or REQUESTS_CA_BUNDLE"):
        fetch(served[0], tmp_path / "part")

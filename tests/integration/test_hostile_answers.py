"""Servers whose answers are no HTTP, or whose headers lie: a file, or a sentence without a class's name."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bundler.fetch.download import Downloader, DownloadFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: "
ELSEWHERE = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
NOT_HTTP = "the response is not valid HTTP ("
NO_REDIRECT = "the server redirects to what is not a valid http or https URL"


@contextmanager
def answering(answer: bytes, *, for_ever: bool = False) -> Iterator[str]:
    """The URL at which every request gets ``answer``; its last 64 KiB again and again, if that is to be."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:  # the test is over
                    return
                with line:
                    talk(line)

        def talk(line: socket.socket) -> None:
            try:
                line.recv(1 << 16)
                line.sendall(answer)
                while for_ever:
                    line.sendall(answer[-(1 << 16) :])
                line.shutdown(socket.SHUT_WR)
                line.recv(1)
            except OSError:  # it has heard enough
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/leaf"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def downloader() -> Downloader:
    return Downloader(retries=0, read_timeout=30, connections=2)


def fails(ask: Callable[[], object]) -> str:
    with pytest.raises(DownloadFailed) as raised:
        ask()
    return str(raised.value)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        pytest.param(b"leaf", NOT_HTTP, id="no header"),
        pytest.param(b"HTTP/9.9 200 OK\r\n\r\nleaf", NOT_HTTP, id="another HTTP"),
        pytest.param(b"HTTP/1.1 9999 OK\r\n\r\nleaf", NOT_HTTP, id="no status"),
        pytest.param(OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nleaf", NOT_HTTP, id="two lengths"),
        pytest.param(CHUNKED + b"xx\r\nleaf", NOT_HTTP, id="no chunk size"),
        pytest.param(CHUNKED + b"-4\r\nleaf", "the connection was closed", id="a negative chunk"),
        pytest.param(CHUNKED + b"f" * 60 + b"\r\nleaf", "the connection was closed", id="a huge chunk"),
        pytest.param(BUSY + b"9" * 5000 + b"\r\n\r\n", "responded with 503 Busy", id="a pause that is no number"),
        pytest.param(BUSY + b"Fri, 31 Dec 99999999999 23:59:59 GMT\r\n\r\n", "with 503 Busy", id="one in no year"),
        pytest.param(ELSEWHERE + b"http://" + b"a" * 300 + b".org/\r\n\r\n", NO_REDIRECT, id="a host too long"),
        pytest.param(ELSEWHERE + b"http://xn--\xff..x/\r\n\r\n", NO_REDIRECT, id="no host's name"),
        pytest.param(ELSEWHERE + b"http://:8/leaf\r\n\r\n", NO_REDIRECT, id="no host"),
        pytest.param(
            b"HTTP/1.1 206 Partial\r\nContent-Range: bytes " + b"9" * 5000 + b"-9/*\r\n\r\nleaf",
            "the file on the server changed",
            id="a range of no numbers",
        ),
    ],
)
def test_what_is_no_answer_is_a_sentence(tmp_path: Path, answer: bytes, sentence: str) -> None:
    with answering(answer) as url:
        assert sentence in fails(lambda: downloader().download([url], tmp_path / "part", lambda _: None))


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(OK + b"Long: ", id="a header"),
        pytest.param(CHUNKED, id="a chunk's size"),
        pytest.param(CHUNKED + b"4;", id="a chunk's extension"),
        pytest.param(CHUNKED + b"0\r\n", id="a trailer"),
    ],
)
def test_a_line_without_an_end_is_not_read_to_it(tmp_path: Path, beginning: bytes) -> None:
    with answering(beginning + b"0" * (1 << 16), for_ever=True) as url:
        assert NOT_HTTP in fails(lambda: downloader().download([url], tmp_path / "part", lambda _: None))


@pytest.mark.parametrize("length", [b"-5", b"9" * 5000, b"four"])
def test_a_length_that_is_none_is_no_length(tmp_path: Path, length: bytes) -> None:
    with answering(OK + b"Content-Length: " + length + b"\r\n\r\nleaf") as url:
        downloader().download([url], tmp_path / "part", lambda _: None)
    assert (tmp_path / "part").read_bytes() == b"leaf"


@pytest.mark.parametrize(
    ("asked", "said", "comes"),
    [
        ("10-13", "10-13/99", True),
        ("10-15", "10-13/99", True),
        ("-4", "95-98/99", True),
        ("-40", "0-3/4", True),
        ("10-13", "0-3/99", False),
        ("10-12", "10-13/99", False),
        ("-4", "0-3/99", False),
        ("-8", "95-98/99", False),
        ("-4", "95-98/100", False),
    ],
)
def test_a_piece_is_the_one_that_was_asked_for(asked: str, said: str, *, comes: bool) -> None:
    with answering(f"HTTP/1.1 206 Partial\r\nContent-Range: bytes {said}\r\n\r\nleaf".encode()) as url:
        if comes:
            assert downloader().piece([url], asked, most=10) == (b"leaf", int(said.partition("/")[2]))
        else:
            assert "another part" in fails(lambda: downloader().piece([url], asked, most=10))

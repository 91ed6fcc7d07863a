"""The program in the place of Python (readypython.py): ``PLACE SCRIPT ARGUMENT...``.

It is started for every process of every lock, so it imports next to nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

__all__ = ["REFUSED", "as_bytes", "read_all", "word"]

REFUSED = 1 << 20
"""The answer to who has to start a Python; no exit status."""
_WORD = 8


def as_bytes(number: int) -> bytes:
    """A number on the line."""
    return number.to_bytes(_WORD, "big", signed=True)


def word(line: socket.socket) -> int:
    """The same, read."""
    return int.from_bytes(read_all(line, _WORD), "big", signed=True)


def read_all(line: socket.socket, size: int) -> bytes:
    """So many bytes."""
    found = b""
    while len(found) < size:
        more = line.recv(size - len(found))
        if not more:
            raise EOFError("the other end has closed")
        found += more
    return found


def _ask(place: str, argv: list[str]) -> None:
    """Have ``argv`` run there, with all that we have, and end as it ends."""
    umask = os.umask(0o077)
    os.umask(umask)
    variables = [name + b"=" + value for name, value in os.environb.items()]
    here = os.getcwdb()  # noqa: PTH109 -- pathlib takes longer than all the rest
    head = [here, str(umask).encode(), str(len(argv)).encode()]
    question = b"\0".join([*head, *map(os.fsencode, argv), *variables])
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(place)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: line.shutdown(socket.SHUT_WR))
        socket.send_fds(line, [as_bytes(len(question))], [0, 1, 2])
        line.sendall(question)
        status = word(line)
    if status == REFUSED:
        os.execv(sys.executable, [sys.executable, *argv])
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    _ask(sys.argv[1], sys.argv[2:])

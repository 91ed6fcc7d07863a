"""A terminal for a program under test: what a person sees on it, and keys to press."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Screen"]


class Screen:
    """33 lines of 77 columns; ``theirs`` is the program's side."""

    def __init__(self, words: Sequence[str]) -> None:
        self.keys, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
        self.before = termios.tcgetattr(theirs)
        # Where the tests run in the background of a script, SIGINT is ignored, and a shell keeps to that.
        words = ["env", "--default-signal=INT", *words]
        self.child = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        self.theirs = theirs
        self.text = ""

    def shows(self, text: str, *, patience: float = 30) -> bool:
        deadline = time.monotonic() + patience
        while text not in self.text and time.monotonic() < deadline:
            if select.select([self.keys], [], [], 0.2)[0]:
                self.text += os.read(self.keys, 4096).decode()
        return text in self.text

    def press(self, keys: bytes) -> None:
        os.write(self.keys, keys)

    def end(self) -> int:
        return self.child.wait(60)

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self.keys)
        os.close(self.theirs)

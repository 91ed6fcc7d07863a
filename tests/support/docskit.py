"""The documentation's shell lines, as its tests run or check them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examplekit import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DOCS", "Builder", "Line", "pages", "shell_lines"]

DOCS = CHECKOUT / "docs"
_NOT_RUN = "<!-- not run: "


@dataclass(frozen=True, kw_only=True)
class Line:
    """A command of a ``console`` block: ``$`` is a user of the build machine, ``#`` root on the server."""

    page: str
    section: str
    prompt: str
    command: str
    run: bool
    """False if the comment before its block says why it is not run."""


def pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def shell_lines(page: Path) -> Iterator[Line]:
    """All of a page's, in order. A line that ends with a backslash goes on in the next."""
    section, inside, run, before = "", False, True, ""
    name = page.relative_to(DOCS).as_posix()
    lines = iter(page.read_text("utf-8").splitlines())
    for line in lines:
        if line.strip().startswith("```"):
            inside = not inside and line.strip() == "```console"
            run = not before.startswith(_NOT_RUN)
        elif inside and (command := re.match(r"([$#]) (.*)", line.strip())):
            words = command[2]
            while words.endswith("\\"):
                words = words[:-1] + next(lines).strip()
            yield Line(page=name, section=section, prompt=command[1], command=words, run=run)
        elif not inside and line.startswith("## "):
            section = line[3:]
        if line.strip():
            before = line


_WRAPPER = """\
#!/bin/sh
# The tests' channel stands in for the one that environment.yml names.
case $1 in lock | build) set -- "$@" --channel {channel} --virtual-packages {virtual} ;; esac
exec {python} -m bundler "$@"
"""


class Builder:
    """A shell that remembers where it is."""

    def __init__(self, place: Path, channel: Path) -> None:
        self.place = place
        self._tools = place / "tools"
        self._tools.mkdir()
        programs = {
            "conda-bundler": _WRAPPER.format(
                channel=channel.as_uri(), virtual=channel / "virtual-packages.yml", python=sys.executable
            ),
            "sudo": '#!/bin/sh\nexec "$@"\n',
        }
        for name, text in programs.items():
            (self._tools / name).write_text(text)
            (self._tools / name).chmod(0o755)

    def run(self, command: str) -> None:
        where = self._tools / "where"
        done = subprocess.run(
            ["bash", "-c", f"set -e; {command}\npwd > {where}"],
            cwd=self.place,
            env={**os.environ, "PATH": f"{self._tools}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # whoever asks for a passphrase has no terminal to ask on, and gets an empty one
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        self.place = self.place.__class__(where.read_text().strip())

    def bundles(self) -> set[Path]:
        return set((self.place / "dist").glob("*.tar"))

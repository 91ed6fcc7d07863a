"""The documentation's shell lines, as its tests run or check them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examplekit import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DOCS", "Line", "pages", "shell_lines"]

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

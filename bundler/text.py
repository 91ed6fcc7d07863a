"""Other people's words, made harmless."""

from __future__ import annotations

__all__ = ["last_lines", "printable"]


def printable(text: str) -> str:
    """``text`` with what is no printable character written out: nobody else's words may steer a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def last_lines(text: str, count: int = 20, width: int = 300) -> tuple[str, ...]:
    """The last lines of a program's output, printable, the longest cut off."""
    lines = [printable(line.expandtabs()) for line in text.splitlines() if line.strip()]
    return tuple(line if len(line) <= width else f"{line[:width]}…" for line in lines[-count:])

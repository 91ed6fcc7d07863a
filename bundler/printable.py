"""Escape text from archives, servers and other programs, so that it cannot control the terminal."""

from __future__ import annotations

__all__ = ["counted", "last_lines", "printable", "printable_lines"]


def printable(text: str) -> str:
    """``text`` in one line, with unprintable characters escaped (``\\x1b``, ``\\u202e``).

    Printable is what Unicode defines (:meth:`str.isprintable`): not control characters (C0, DEL, C1), characters that
    change the direction of text, line separators, or bytes that were not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """The same for text with several lines; line breaks and tabs are kept."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def counted(number: float, one: str, several: str | None = None) -> str:
    """``1 package``, ``2 packages``; ``several`` is the plural, by default with an s."""
    return f"{number:.15g} {one if number == 1 else several or f'{one}s'}"


def last_lines(text: str, count: int = 20, width: int = 300) -> tuple[str, ...]:
    """The last lines of a program's output, escaped, with long ones truncated."""
    lines = [printable(line.expandtabs()) for line in text.splitlines() if line.strip()]
    return tuple(line if len(line) <= width else f"{line[:width]}…" for line in lines[-count:])

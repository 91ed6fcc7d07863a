"""What comes from archives, servers and other programs, on its way to a terminal: nothing in it may steer that."""

from __future__ import annotations

__all__ = ["counted", "last_lines", "printable", "printable_lines"]


def printable(text: str) -> str:
    """``text`` in one line, with everything that is no printable character written out (``\\x1b``, ``\\u202e``).

    Python calls printable what Unicode does (:meth:`str.isprintable`): so neither control characters (C0, DEL, C1), nor
    what turns the direction of text, nor line separators, nor bytes that were no UTF-8 are.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """The same of a text whose line breaks are our own, or another program's; tabs stay as well."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def counted(number: float, one: str, several: str | None = None) -> str:
    """``1 package``, ``2 packages``; ``several`` is the plural of ``one`` if that is not with an s at its end."""
    return f"{number:.15g} {one if number == 1 else several or f'{one}s'}"


def last_lines(text: str, count: int = 20, width: int = 300) -> tuple[str, ...]:
    """The last lines of a program's output, printable, the longest cut off."""
    lines = [printable(line.expandtabs()) for line in text.splitlines() if line.strip()]
    return tuple(line if len(line) <= width else f"{line[:width]}…" for line in lines[-count:])

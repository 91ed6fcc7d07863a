"""How systemd splits a value into words (systemd.syntax(7), "Quoting"), and its specifiers (systemd.unit(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["SplitWord", "check_specifiers", "split_words"]

_ESCAPES = {**dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)), "s": " ", "\\": "\\", '"': '"', "'": "'"}
_SPECIFIERS = frozenset("aAbBCdDEfgGhHiIjJlLmMnNopPqsStTuUvVwWyY%")
_CODE = re.compile(r"x([0-9A-Fa-f]{2})|([0-7]{3})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})")


@dataclass(frozen=True, kw_only=True)
class SplitWord:
    """A word: ``text`` without its quotes, and where it stands in the value with them."""

    text: str
    start: int
    end: int


def split_words(value: str) -> tuple[SplitWord, ...]:
    """The words of ``value``. Raises ValueError for a quote that is not closed and a backslash at the end."""
    words: list[SplitWord] = []
    position, length = 0, len(value)
    while True:
        while position < length and value[position] in " \t":
            position += 1
        if position >= length:
            return tuple(words)
        start, text, quote = position, "", ""
        while position < length and (quote or value[position] not in " \t"):
            char = value[position]
            if char == "\\":
                taken, position = _escape(value, position + 1)
                text += taken
                continue
            if char == quote:
                quote = ""
            elif not quote and char in "\"'":
                quote = char
            else:
                text += char
            position += 1
        if quote:
            raise ValueError(f"the quote {quote} in {value!r} is not closed")
        words.append(SplitWord(text=text, start=start, end=position))


def _escape(value: str, position: int) -> tuple[str, int]:
    """What the escape behind a backslash stands for, and where it ends."""
    if position >= len(value):
        raise ValueError(f"{value!r} ends with a backslash, which would join the next line; write it twice")
    if code := _CODE.match(value, position):
        digits = code[1] or code[3] or code[4]
        return chr(int(digits, 16) if digits else int(code[2], 8)), code.end()
    char = value[position]
    return _ESCAPES.get(char, f"\\{char}"), position + 1  # one that it does not know it leaves as it is


def check_specifiers(value: str) -> None:
    """Raises ValueError for a ``%`` before a letter that makes no specifier; elsewhere it is literal."""
    for found in re.finditer(r"%([A-Za-z%])", value):
        if found[1] not in _SPECIFIERS:
            raise ValueError(f"%{found[1]} in {value!r} is not a systemd specifier; for a percent sign write %%")

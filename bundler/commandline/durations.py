"""How long something may take, as the command line has it."""

from __future__ import annotations

import re

__all__ = ["parse_duration"]

_LONGEST = 7 * 24 * 3600


def parse_duration(text: str) -> float:
    """``10`` (minutes), ``10m``, ``90s`` or ``1h30m`` in seconds, more than 0. Raises :class:`ValueError`."""
    number = r"[0-9]{1,7}(?:\.[0-9]{1,3})?"
    if re.fullmatch(number, text, re.ASCII):
        seconds = float(text) * 60
    elif found := re.fullmatch(rf"(?:({number})h)?(?:({number})m)?(?:({number})s)?", text, re.ASCII):
        seconds = sum(float(part) * size for part, size in zip(found.groups(), (3600, 60, 1), strict=True) if part)
    else:
        seconds = 0
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{text!r} is not a duration of at most a week: 10 (minutes), 10m, 90s, 1h30m")
    return seconds

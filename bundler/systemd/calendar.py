"""Spans of time and calendar events as systemd.time(7) has them.

``systemd-analyze calendar`` would know better, but a bundle is built where there may be no systemd. What passes here
and is impossible nevertheless (the 31st of February) makes a timer that never elapses, not one that does not load.
"""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["check_calendar", "seconds_of"]

_UNITS = {
    "us": 1e-6,
    "usec": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}
_SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")

_WORDS = re.compile(
    "minutely|hourly|daily|monthly|weekly|yearly|annually|quarterly|semi-?annually|bi-?annually", re.IGNORECASE
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = frozenset(_DAYS) | {day[:3] for day in _DAYS}
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+")
_RANGES = {
    "year": (1970, 2199),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}


def seconds_of(span: str) -> float:
    """``5``, ``1min 30s`` or ``infinity`` in seconds. Raises ValueError for what is no span."""
    if span.strip() == "infinity":
        return float("inf")
    position, total = 0, 0.0
    while position < len(span.rstrip()):
        found = _SPAN.match(span, position)
        if not found or found[2] not in _UNITS:
            raise ValueError(f"not a span of time: {span!r}; write it like 90, 5min or 1h 30min")
        total += float(found[1]) * _UNITS[found[2]]
        position = found.end()
    if not position:
        raise ValueError("an empty span of time")
    return total


def check_calendar(event: str) -> str:
    """``event`` itself if systemd would take it for OnCalendar=. Raises ValueError, saying which part is wrong."""
    words = event.split()
    if not words:
        raise ValueError("an empty calendar event; write it like daily, 03:30 or Mon..Fri *-*-* 03:30")
    if len(words) > 1 and _ZONE.fullmatch(words[-1]):
        words.pop()
    if len(words) == 1 and _WORDS.fullmatch(words[0]):
        return event
    if re.fullmatch(r"@[0-9]+", words[0]) and len(words) == 1:
        return event
    if _is_weekdays(words[0]):
        words.pop(0)
    if words and re.search(r"[-~]", words[0]) and ":" not in words[0]:
        _check_date(words.pop(0))
    if words and ":" in words[0]:
        _check_time(words.pop(0))
    if words:
        raise ValueError(
            f"not a calendar event: {event!r}, at {words[0]!r}; write it like daily, 03:30 or Mon..Fri *-*-* 03:30"
        )
    return event


def _is_weekdays(word: str) -> bool:
    days = re.split(r",|\.\.|-", word.rstrip(",").lower())
    return all(day in _WEEKDAYS for day in days)


def _check_date(word: str) -> None:
    """``[YEAR-]MONTH-DAY``; with ``~`` before the day it is counted from the month's end."""
    parts = re.split(r"[-~]", word)
    if len(parts) not in (2, 3) or "~" in word.rpartition("~")[0] or "-" in word.partition("~")[2]:
        raise ValueError(f"not a date: {word!r}; write it like 2030-12-24, *-*-01 or *-02~1")
    for name, part in zip(("year", "month", "day")[-len(parts) :], parts, strict=True):
        _check_component(part, name)


def _check_time(word: str) -> None:
    parts = word.split(":")
    if len(parts) not in (2, 3):
        raise ValueError(f"not a time: {word!r}; write it like 03:30 or 03:30:15")
    for name, part in zip(("hour", "minute", "second"), parts, strict=False):
        _check_component(part, name)


def _check_component(part: str, name: str) -> None:
    """``*``, numbers, ``a..b`` and ``/step`` after each, with commas between."""
    lowest, highest = _RANGES[name]
    number = r"[0-9]+(?:\.[0-9]{1,6})?" if name == "second" else "[0-9]+"
    for item in part.split(","):
        found = re.fullmatch(rf"(?:\*|({number})(?:\.\.({number}))?)(?:/({number}))?", item)
        if not found:
            raise ValueError(f"not a {name}: {item!r}")
        ends = [float(end) for end in found.groups()[:2] if end]
        if name == "year":
            ends = [end + (2000 if end < 70 else 1900) if end < 100 else end for end in ends]
        wrong = [end for end in ends if not lowest <= end < highest + 1]
        if wrong or any(first > second for first, second in pairwise(ends)):
            raise ValueError(f"not a {name}: {item!r}; it goes from {lowest} to {highest}")
        if found[3] and float(found[3]) == 0:
            raise ValueError(f"not a {name}: {item!r}; a step cannot be 0")

"""The ages and dates that ``[lock] exclude_newer`` may have."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

__all__ = ["parse_age"]

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str) -> datetime | timedelta:
    """``14d``, ``2w`` or ``36h``, else an ISO date (its midnight) or datetime, in UTC unless said.

    Raises :class:`ValueError`.
    """
    if age := re.fullmatch(r"([0-9]{1,5})([hdw])", text):
        return timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        date = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
        utc = date.astimezone(timezone.utc) if date.tzinfo else date.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither an age (14d, 2w, 36h) nor a date (2026-11-01, 2026-11-01T12:00:00Z)"
        ) from None
    return utc.replace(microsecond=0)

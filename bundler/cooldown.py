"""The ages and dates that ``[lock] exclude_newer`` may have, for all or for each channel and package index."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT", "as_text", "date_for", "from_text", "parse_age"]

DEFAULT = "default"
"""The key for all channels and indexes that are not named."""

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str) -> datetime | timedelta:
    """``14d``, ``2w`` or ``36h``, or an ISO date (midnight) or datetime, in UTC by default.

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


def as_text(said: str | Mapping[str, str | bool]) -> str:
    """The value in bundle.toml as it is stored in a lockfile's metadata: an age or date, or a table as JSON."""
    return said if isinstance(said, str) else json.dumps(dict(said), sort_keys=True)


def from_text(text: str) -> dict[str, str | bool]:
    """Parse what :func:`as_text` has written, as a table."""
    found: dict[str, str | bool] = json.loads(text) if text.startswith("{") else {DEFAULT: text}
    return found


def date_for(dates: Mapping[str, str | None], *names: str) -> str | None:
    """The date in ``dates`` for the channel or index with these names; None if there is no limit."""
    return next((dates[name] for name in names if name in dates), dates.get(DEFAULT))

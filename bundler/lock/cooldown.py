"""``[lock] exclude_newer``: nothing is taken that is newer than a date.

A relative time is resolved once, when everything is locked anew. The lockfile's metadata has what was said and the date
that came of it, and locks that are to change little (``--update``, ``--relock``) go by that date again.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from bundler.cooldown import DEFAULT, from_text, parse_age
from bundler.lock.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["cutoff", "cutoff_record", "said_of_age", "told"]

_SAID = "conda-bundler.exclude-newer"
_DATE = "conda-bundler.exclude-newer.date"


def cutoff(said: str | None, lockfile: Path | None = None) -> dict[str, str | None]:
    """The dates, in ISO's form, that ``said`` means, by channel or index: those that ``lockfile`` has for it, else
    reckoned from now. Empty if nothing is said; None for what may be of any age.
    """
    if not said:
        return {}
    record = recorded(lockfile) if lockfile else {}
    if said_of_age(record) == said and (dates := record.get(_DATE)):
        return dict(json.loads(dates)) if str(dates).startswith("{") else {DEFAULT: str(dates)}
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return {place: _date(one, now) for place, one in from_text(said).items()}


def _date(said: str | bool, now: datetime) -> str | None:
    if isinstance(said, bool):
        return None
    meant = parse_age(said)
    date = meant if isinstance(meant, datetime) else now - meant
    return (
        f"{date.replace(tzinfo=None).isoformat(timespec='seconds')}Z"  # strftime writes the year 110 with three digits
    )


def said_of_age(record: Mapping[str, Any]) -> str | None:
    """What was said when the lockfile with this :func:`~bundler.lock.recorded.recorded` was written."""
    return record.get(_SAID)


def cutoff_record(said: str | None, dates: Mapping[str, str | None]) -> dict[str, str | None]:
    """What a lockfile's metadata says of both."""
    if not said:
        return {_SAID: None, _DATE: None}
    plain = dates.get(DEFAULT) if set(dates) == {DEFAULT} else None
    return {_SAID: said, _DATE: plain or json.dumps(dict(dates), sort_keys=True)}


def told(dates: Mapping[str, str | None]) -> str:
    """The dates that there are, for a message: ``2026-11-01T00:00:00Z``, or each with the place that it is for."""
    if set(dates) == {DEFAULT}:
        return str(dates[DEFAULT])
    return ", ".join(f"{date} ({place})" for place, date in sorted(dates.items()) if date)

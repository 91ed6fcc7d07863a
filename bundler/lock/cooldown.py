"""``[lock] exclude_newer``: nothing is taken that is newer than a date.

A relative time is resolved once, when everything is locked anew. The lockfile's metadata has what was said and the date
that came of it, and locks that are to change little (``--update``, ``--relock``) go by that date again.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from bundler.cooldown import parse_age
from bundler.lock.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["cutoff", "cutoff_record", "said_of_age"]

_SAID = "conda-bundler.exclude-newer"
_DATE = "conda-bundler.exclude-newer.date"


def cutoff(said: str | None, lockfile: Path | None = None) -> str | None:
    """The date, in ISO's form, that ``said`` means: the one that ``lockfile`` has for it, else reckoned from now."""
    if not said:
        return None
    record = recorded(lockfile) if lockfile else {}
    if said_of_age(record) == said and (date := record.get(_DATE)):
        return str(date)
    meant = parse_age(said)
    newest = meant if isinstance(meant, datetime) else datetime.now(timezone.utc).replace(microsecond=0) - meant
    return newest.strftime("%Y-%m-%dT%H:%M:%SZ")


def said_of_age(record: Mapping[str, Any]) -> str | None:
    """What was said when the lockfile with this :func:`~bundler.lock.recorded.recorded` was written."""
    return record.get(_SAID)


def cutoff_record(said: str | None, date: str | None) -> dict[str, str | None]:
    """What a lockfile's metadata says of both."""
    return {_SAID: said, _DATE: date} if said and date else {_SAID: None, _DATE: None}

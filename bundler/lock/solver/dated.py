"""Different ``exclude_newer`` dates for channels; py-rattler 0.28 supports only one date for all.

So channels with a different date are queried through us, and the timestamps of their records are moved to the right
side of the common date. No record is omitted, since another channel could then take precedence.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from rattler import Channel, Subdir

from bundler.cooldown import date_for
from bundler.fetch.channels import public_url
from bundler.lock.solver.sources import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rattler import Gateway, PackageName, RepoDataRecord

    from bundler.lock.solver.sources import Source

__all__ = ["Dated", "common_date", "date_of", "parse_date"]

_EVER = datetime(1970, 1, 2, tzinfo=timezone.utc)


def parse_date(text: str) -> datetime:
    """Parse a date in the format of lockfiles."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def date_of(source: Source, dates: Mapping[str, str | None]) -> str | None:
    """The date for a channel, which ``dates`` may have by its name in environment.yml, or by its URL."""
    by_url = {Channel(place).base_url.rstrip("/"): date for place, date in dates.items()}
    names = (public_url(source.given).rstrip("/"), public_url(source.public).rstrip("/"))
    return date_for({**by_url, **dates}, *names)


def common_date(found: Sequence[str | None], default: str | None) -> str | None:
    """The date for rattler, given those of the channels in ``found``; None if there are none."""
    return default if default and default in found else next(filter(None, found), None)


class Dated(Asked):
    """A channel whose packages must not be newer than ``date`` (None: no limit), while rattler uses ``common``. It
    implements rattler's interface for a source of records.
    """

    def __init__(
        self, channel: Channel, subdirs: Sequence[Subdir], gateway: Gateway, *, date: str | None, common: str
    ) -> None:
        super().__init__(channel, gateway, subdirs)
        self._date = parse_date(date) if date else None
        self._common = parse_date(common)

    async def fetch_package_records(self, platform: Subdir, name: PackageName) -> list[RepoDataRecord]:
        """The records, with timestamps before or after the common date, as they are before or after this channel's."""
        records = await super().fetch_package_records(platform, name)
        for record in records:
            time = record.indexed_timestamp or record.timestamp
            if self._date is None or (time and time <= self._date):
                record.indexed_timestamp = _EVER
            elif time:
                record.indexed_timestamp = max(time, self._common + timedelta(seconds=1))
        return records

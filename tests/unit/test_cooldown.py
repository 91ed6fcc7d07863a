"""`[lock] exclude_newer`: what it may say, and what the lockfile keeps of it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from bundler.config.tables import LockTable
from bundler.cooldown import parse_age
from bundler.lock.cooldown import cutoff, cutoff_record, said_of_age
from bundler.lock.recorded import recorded, with_recorded

if TYPE_CHECKING:
    from pathlib import Path

LOCKFILE = b"# A comment\nversion: 1\nmetadata:\n  platforms: [linux-64]\npackage: []\n"
DATE = "2026-11-01T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("14d", timedelta(days=14)),
        ("36h", timedelta(hours=36)),
        ("2w", timedelta(days=14)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=timezone.utc)),
        (DATE, datetime(2026, 11, 1, 12, tzinfo=timezone.utc)),
        ("2026-11-01T12:00:00+02:00", datetime(2026, 11, 1, 10, tzinfo=timezone.utc)),
    ],
)
def test_ages_and_dates(text: str, meant: object) -> None:
    assert parse_age(text) == meant
    assert LockTable(exclude_newer=text).exclude_newer == text


@pytest.mark.parametrize("text", ["", "14", "14 days", "d", "-3d", "2026-13-01", "yesterday"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is neither an age")):
        LockTable(exclude_newer=text)


def test_an_age_is_reckoned_once(tmp_path: Path) -> None:
    lockfile = tmp_path / "conda-lock.yml"
    lockfile.write_bytes(with_recorded(LOCKFILE, cutoff_record("14d", DATE)))
    assert lockfile.read_bytes().startswith(b"# A comment\n")
    assert said_of_age(recorded(lockfile)) == "14d"
    assert cutoff("14d", lockfile) == DATE
    now = cutoff("14d")
    assert now is not None
    assert now != DATE
    assert cutoff("13d", lockfile) != DATE, "another setting is reckoned anew"
    assert cutoff("2020-01-01", lockfile) == "2020-01-01T00:00:00Z"
    assert cutoff(None, lockfile) is None


def test_a_lockfile_loses_what_is_not_said_any_more(tmp_path: Path) -> None:
    lockfile = tmp_path / "conda-lock.yml"
    lockfile.write_bytes(with_recorded(with_recorded(LOCKFILE, cutoff_record("14d", DATE)), cutoff_record(None, None)))
    assert said_of_age(recorded(lockfile)) is None
    assert b"custom_metadata" not in lockfile.read_bytes()
    assert with_recorded(LOCKFILE, cutoff_record(None, None)) == LOCKFILE

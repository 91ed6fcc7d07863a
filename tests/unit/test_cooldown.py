"""`[lock] exclude_newer`: what it may say, and what the lockfile keeps of it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from bundler.config.tables import LockTable
from bundler.cooldown import as_text, date_for, parse_age
from bundler.lock.cooldown import cutoff, cutoff_record, said_of_age
from bundler.lock.recorded import recorded, with_recorded
from bundler.lock.solver.dated import parse_date

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
    lockfile.write_bytes(with_recorded(LOCKFILE, cutoff_record("14d", {"default": DATE})))
    assert lockfile.read_bytes().startswith(b"# A comment\n")
    assert said_of_age(recorded(lockfile)) == "14d"
    assert cutoff("14d", lockfile) == {"default": DATE}
    assert cutoff("14d") != {"default": DATE}
    assert cutoff("13d", lockfile) != {"default": DATE}, "another setting is reckoned anew"
    assert cutoff("2020-01-01", lockfile) == {"default": "2020-01-01T00:00:00Z"}
    assert cutoff(None, lockfile) == {}
    for early in ("99999w", "0001-01-01"):
        assert parse_date(str(cutoff(early)["default"])).year < 1000, "read again as it was written"


def test_a_lockfile_loses_what_is_not_said_any_more(tmp_path: Path) -> None:
    lockfile = tmp_path / "conda-lock.yml"
    lockfile.write_bytes(
        with_recorded(with_recorded(LOCKFILE, cutoff_record("14d", {"default": DATE})), cutoff_record(None, {}))
    )
    assert said_of_age(recorded(lockfile)) is None
    assert b"custom_metadata" not in lockfile.read_bytes()
    assert with_recorded(LOCKFILE, cutoff_record(None, {})) == LOCKFILE


def test_a_table_says_it_for_each(tmp_path: Path) -> None:
    table = {"https://conda.example/internal/": False, "default": "14d", "forge": "2026-10-01"}
    parsed = LockTable.model_validate({"exclude_newer": table}).exclude_newer
    assert isinstance(parsed, dict)
    said = as_text(parsed)
    assert said == as_text(dict(reversed(list(parsed.items())))), "in whatever order"
    lockfile = tmp_path / "conda-lock.yml"
    dates = cutoff(said)
    assert dates["https://conda.example/internal"] is None
    assert dates["forge"] == "2026-10-01T00:00:00Z"
    lockfile.write_bytes(with_recorded(LOCKFILE, cutoff_record(said, dates | {"default": DATE})))
    assert said_of_age(recorded(lockfile)) == said
    assert cutoff(said, lockfile) == dates | {"default": DATE}, "an age is reckoned once"
    assert date_for(dates, "nowhere", "forge") == dates["forge"]
    assert date_for(dates, "elsewhere") == dates["default"]
    assert date_for({"forge": DATE}, "elsewhere") is None


@pytest.mark.parametrize(
    "table",
    [{"forge": True}, {"forge": "soon"}, {"": "14d"}, {"https://me:pass@conda.example/x": "14d"}, {"a\nb": "14d"}],
)
def test_other_tables_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="exclude_newer"):
        LockTable.model_validate({"exclude_newer": table})

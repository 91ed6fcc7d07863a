"""Against systemd.time(7); every good event was accepted by systemd-analyze calendar, every bad one refused."""

from __future__ import annotations

import pytest

from bundler.systemd.calendar import check_calendar, seconds_of
from bundler.systemd.directives import DIRECTIVES, nearest

GOOD = [
    "daily",
    "Weekly",
    "semi-annually",
    "*-*-* 03:30:00",
    "03:30",
    "Mon 03:30",
    "Mon..Fri 03:30",
    "Mon,Wed..Fri *-*-* 03:30",
    "monday",
    "Sat,Sun 2030-*-01 12:00",
    "*-*-01..07 04:00",
    "*-*~1",
    "*-02~03 12:00",
    "12-24 18:00",
    "2030-12-24",
    "*:0/15",
    "*:*:0/5",
    "0/2:00",
    "8..17:00,30",
    "00:00:01.5",
    "*-1/3-1 UTC",
    "daily Europe/Berlin",
    "03:30 America/Argentina/Buenos_Aires",
    "@1234567890",
]
BAD = [
    "",
    "dayly",
    "Mo..Xr 03:30",
    "24:00",
    "03:60",
    "03:30:60",
    "3",
    "*-13-01",
    "*-00-01",
    "*-*-32",
    "03:30 05:30",
    "03:30 *-*-*",
    "17..8:00",
    "*:0/0",
    "*-*-*-* 03:00",
    "03:30 Berlin time",
    "1999",
]


@pytest.mark.parametrize("event", GOOD)
def test_an_event_that_systemd_takes(event: str) -> None:
    assert check_calendar(event) == event


@pytest.mark.parametrize("event", BAD)
def test_an_event_that_it_does_not(event: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        check_calendar(event)


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        ("5", 5),
        ("1.5s", 1.5),
        ("1min 30s", 90),
        ("2h", 7200),
        ("100ms", 0.1),
        ("1d2h", 93600),
        ("infinity", float("inf")),
    ],
)
def test_a_span_of_time(span: str, seconds: float) -> None:
    assert seconds_of(span) == pytest.approx(seconds)


@pytest.mark.parametrize("span", ["", "soon", "5 apples", "-5", "5s x"])
def test_what_is_none(span: str) -> None:
    with pytest.raises(ValueError, match="span of time"):
        seconds_of(span)


def test_a_name_that_is_nearly_right_is_guessed() -> None:
    assert nearest("MemoryMx", DIRECTIVES["Service"]) == "; did you mean MemoryMax?"
    assert nearest("limitnofile", DIRECTIVES["Service"]) == "; did you mean LimitNOFILE?"
    assert nearest("Qwertz", DIRECTIVES["Service"]) == ""

"""`--lock-timeout`, and what is said while a lock lasts."""

from __future__ import annotations

import pytest

from bundler import progress
from bundler.commandline.durations import parse_duration
from bundler.lock.watch import told_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 600), ("0.5", 30), ("10m", 600), ("90s", 90), ("1h", 3600), ("1h30m", 5400), ("1h5s", 3605), ("1.5m", 90)],
)
def test_minutes_and_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "-1", "m", "10 m", "ten", "10d", "30m1h", "1e3", "٣", "999h", "nan"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration of at most a week"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(600, "10 minutes"), (60, "1 minute"), (90, "90 seconds"), (1, "1 second"), (0.5, "0.5 seconds")],
)
def test_durations_as_they_are_told(seconds: float, told: str) -> None:
    assert told_duration(seconds) == told


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with progress.PlainProgress().waiting() as show:
        for at, text in (
            (1, "a"),
            (4.9, "a"),
            (5, "a"),
            (6, "b"),
            (10, "b"),
            (30, "b"),
            (69, "b"),
            (70, "b"),
            (71, "c"),
        ):
            now = at
            show(text)
    assert capsys.readouterr().err.splitlines() == ["  a (5 s so far)", "  b (10 s so far)", "  b (70 s so far)"]


def test_nothing_of_what_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    for shown in (progress.PlainProgress(), progress.RichProgress(), progress.QuietProgress()):
        with shown.waiting() as show:
            show("solving")
    assert capsys.readouterr() == ("", "")


def test_a_status_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_WAIT", 0)
    shown = progress.RichProgress()
    with shown.waiting() as show:
        show("solving [bold]x")
        shown.step("note: beside it")
    out, err = capsys.readouterr()
    assert out == ""
    assert "note: beside it" in err

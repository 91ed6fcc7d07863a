"""What people see of a download."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler import progress
from bundler.progress import PlainProgress, QuietProgress, RichProgress, Transfer

if TYPE_CHECKING:
    import pytest


def fetch(shown: progress.Progress) -> None:
    with shown.transfer("Fetching 2 packages", 2) as transfer:
        transfer.moved(1_000_000)
        transfer.done()
        transfer.moved(500_000)
        transfer.done()


def test_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(PlainProgress())
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"Fetching 2 packages\n  2 of 2, 1\.5 MB, [\d.]+ MB/s\n", err)
    monkeypatch.setattr(progress, "_TELL_EVERY", 0)
    fetch(PlainProgress())
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["  0 of 2", "  1 of 2", "  1 of 2", "  2 of 2", "  2 of 2"]


def test_what_was_there_already_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress().transfer("Fetching 2 packages", 2) as transfer:
        transfer.done(2)
    assert capsys.readouterr().err == "Fetching 2 packages\n"


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fetch(RichProgress())
    out, err = capsys.readouterr()
    assert out == ""
    assert "Fetching 2 packages" in err
    assert "2/2" in err
    assert "1.5 MB" in err


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    fetch(QuietProgress())
    assert capsys.readouterr() == ("", "")


def test_the_rate_is_the_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    transfer = Transfer(1)
    assert transfer.rate() == ""
    monkeypatch.setattr("time.monotonic", lambda: 104.0)
    transfer.moved(10_000_000)
    assert transfer.rate() == "10.0 MB, 2.5 MB/s"

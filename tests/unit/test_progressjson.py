"""Progress for programs: each line on standard error is one event."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from bundler.commandline import group
from bundler.progress import FORMS, PlainProgress, QuietProgress, RichProgress, make_progress, set_form
from bundler.progressjson import JsonProgress


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    found = [json.loads(line) for line in err.splitlines()]
    assert all(one.pop("v") == 1 for one in found)
    seconds = [one.pop("seconds") for one in found]
    assert seconds == sorted(seconds)
    return found


def test_steps_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    shown = JsonProgress()
    shown.step("Locking environment.yml")
    shown.step("note: servers must have zstd installed")
    assert events(capsys) == [
        {"event": "step", "text": "Locking environment.yml"},
        {"event": "note", "text": "servers must have zstd installed"},
    ]


def test_a_task_and_a_download_each_have_a_number_a_begin_and_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    shown = JsonProgress()
    with shown.task("Linking", 3) as advance, shown.transfer("Fetching", 2) as transfer:
        advance(1)
        advance(2)
        transfer.moved(1000)
        transfer.done(2)
    assert events(capsys) == [
        {"event": "begin", "task": 1, "text": "Linking", "total": 3},
        {"event": "begin", "task": 2, "text": "Fetching", "total": 2},
        {"event": "end", "task": 2, "text": "Fetching", "total": 2, "done": 2, "bytes": 1000},
        {"event": "end", "task": 1, "text": "Linking", "total": 3, "done": 3},
    ]


def test_what_lasts_says_how_far_it_is_once_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with JsonProgress().task("Packing", 1000) as advance:
        for _ in range(1000):
            now += 0.01
            advance(1)
    told = [one["done"] for one in events(capsys) if one["event"] == "progress"]
    assert len(told) in (9, 10)
    assert told == sorted(set(told))


def test_what_fails_within_a_task_has_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), JsonProgress().task("Packing", 1):
        raise ValueError("broken")
    assert [one["event"] for one in events(capsys)] == ["begin"]


def test_waiting_says_each_thing_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with JsonProgress().waiting() as waiting:
        for text in ("reading a", "reading a", "reading b"):
            now += 2
            waiting(text)
    assert [one["text"] for one in events(capsys)] == ["reading a", "reading b"]


def test_nothing_in_a_line_means_anything_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = "".join(map(chr, range(256))) + "\u202e"
    JsonProgress().step(text)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["text"] == text


def test_what_is_run_is_an_event_under_verbose(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "argv", ["conda-bundler"])
    group._set_up_output(lines=True, level=logging.INFO)
    logging.getLogger("bundler.process").info("$ true")
    assert events(capsys) == [{"event": "log", "text": "$ true"}]


@pytest.mark.parametrize(
    ("form", "kind"),
    [("auto", PlainProgress), ("bars", RichProgress), ("plain", PlainProgress), ("json", JsonProgress)],
)
def test_the_form_is_what_was_asked_for(form: str, kind: type) -> None:
    """Standard error is no terminal here."""
    assert form in FORMS
    set_form(form)
    try:
        assert type(make_progress()) is kind
        assert type(make_progress(quiet=True)) is QuietProgress
    finally:
        set_form("auto")

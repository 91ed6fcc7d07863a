"""A few inputs of each target of `make fuzz`, the same each time: that it runs at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fuzz import TARGETS
from fuzzkit import Target, fuzz

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_few_inputs(target: Target, tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path))
    assert fuzz(target, seconds=60, examples=5, number=1)


def test_what_is_wrong_is_found(tmp_path: pytest.TempPathFactory) -> None:
    """The kit itself: another exception than ours, and a file outside."""
    from dataclasses import replace

    def crash(value: object, room: Path) -> None:
        raise KeyError(value)

    def write(_: object, room: Path) -> None:
        (room.parent / "outside").write_text("x")

    with pytest.raises(AssertionError, match="KeyError"):
        fuzz(replace(TARGETS[0], run=crash), seconds=10, examples=2, number=1)
    with pytest.raises(AssertionError, match="has written outside"):
        fuzz(replace(TARGETS[0], run=write), seconds=10, examples=2, number=1)

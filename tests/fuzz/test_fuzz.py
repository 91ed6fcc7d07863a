"""Each target for its part of FUZZ_SECONDS (60 in all, unless said), on other inputs each time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from fuzzkit import fuzz

from fuzz import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzzkit import Target

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path))


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_fuzz(target: Target, record_property: Callable[[str, object], None]) -> None:
    record_property("inputs", fuzz(target, seconds=SECONDS / len(TARGETS)))

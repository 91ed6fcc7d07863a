"""docs/security.md names tests; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs/security.md"


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:unit|integration|e2e)/[\w/]+\.py)`", PAGE.read_text()))
    assert len(named) > 20
    assert sorted(name for name in named if not (TESTS / name).is_file()) == []

"""Tests that `make test` omits: the same test on an additional system or shell."""

from __future__ import annotations

import pytest

__all__ = ["everywhere"]


def everywhere(*values: object) -> tuple[object, ...]:
    """Additional parameters that only `make test-all` runs: ``["bookworm", *everywhere("trixie")]``."""
    return tuple(pytest.param(value, marks=pytest.mark.everywhere) for value in values)

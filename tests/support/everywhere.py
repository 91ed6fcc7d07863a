"""What `make test` leaves out: the same test on one more system or shell."""

from __future__ import annotations

import pytest

__all__ = ["everywhere"]


def everywhere(*values: object) -> tuple[object, ...]:
    """Parameters of `make test-all` alone, beside those of every run: ``["bookworm", *everywhere("trixie")]``."""
    return tuple(pytest.param(value, marks=pytest.mark.everywhere) for value in values)

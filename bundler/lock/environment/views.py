"""What conda-lock is shown of an environment.yml.

conda-lock solves the conda packages and says what belongs to its content hash; the wheels are uv's. So for the former
the ``pip:`` lists are hidden from it, for the latter just those entries that it cannot read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.lock.environment.entries import for_the_hash, for_the_solver
from bundler.lock.environment.shown import hidden
from bundler.wheels.requirements import is_readable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shown_to_conda_lock", "without_pip"]


def shown_to_conda_lock(data: bytes, path: Path) -> bytes:
    """What its content hash is of: all but what it cannot read."""
    return hidden(for_the_hash(data, path), path, lambda entry: not is_readable(entry))


def without_pip(data: bytes, path: Path) -> bytes:
    """What its solver gets: all conda packages that count, and no entry of ``pip:``."""
    return hidden(for_the_solver(data, path), path, bool)

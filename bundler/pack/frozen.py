"""``conda-meta/frozen`` (CEP 22): conda, mamba and pixi refuse to change such an environment, and print its message."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from bundler.pack.members import Member

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.pack.collect import Filters

__all__ = ["frozen_marker"]

_PATH = "conda-meta/frozen"


def frozen_marker(bundle: str, members: Iterable[Member], filters: Filters) -> tuple[Member, ...]:
    """The marker for the environment of ``bundle``; none if ``members`` have one, or ``filters`` exclude it."""
    left_out = any(fnmatch(_PATH, pattern) for pattern in filters.exclude)
    taken_in = any(fnmatch(_PATH, pattern) for pattern in filters.include)
    if (left_out and not taken_in) or any(member.path == f"env/{_PATH}" for member in members):
        return ()
    message = (
        f"This environment belongs to the bundle {bundle}; its releases must not be modified.\n"
        "To change it, edit the project's environment.yml, build a new bundle with conda-bundler, and install that."
    )
    return (Member(path=f"env/{_PATH}", mode=0o644, content=json.dumps({"message": message}).encode() + b"\n"),)

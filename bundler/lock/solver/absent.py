"""Placeholders for packages whose condition does not hold (`pkg[when="__cuda"]`).

conda-lock looks up each requested name in the solution. So our solver returns a placeholder package, which is removed
from the lockfile afterwards.
"""

from __future__ import annotations

from typing import Any

from bundler.plainyaml import dump_yaml, load_yaml

__all__ = ["absent_package", "without_absent"]

_NOWHERE = "https://absent.invalid/noarch/"
"""No host can have a name in .invalid (RFC 2606)."""


def absent_package(name: str) -> dict[str, Any]:
    """An entry of ``actions.FETCH``."""
    return {
        "name": name,
        "version": "0",
        "build": "0",
        "build_string": "0",
        "build_number": 0,
        "channel": _NOWHERE,
        "subdir": "noarch",
        "fn": f"{name}-0-0.conda",
        "url": f"{_NOWHERE}{name}-0-0.conda",
        "depends": [],
        "constrains": [],
        "timestamp": 0,
        "md5": "0" * 32,
        "sha256": "0" * 64,
    }


def without_absent(lockfile: bytes) -> bytes:
    """The lockfile without such entries."""
    if _NOWHERE.encode() not in lockfile:
        return lockfile
    document = load_yaml(lockfile)
    document["package"] = [one for one in document["package"] if not str(one["url"]).startswith(_NOWHERE)]
    return dump_yaml(document, lockfile)

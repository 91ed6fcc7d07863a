"""What a lockfile's metadata says of the settings that it was locked with: all of ``metadata.custom_metadata``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundler.lockfiles.condalock import custom_metadata
from bundler.plainyaml import dump_yaml, load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["recorded", "with_recorded"]


def recorded(lockfile: Path) -> dict[str, Any]:
    """All of it; empty without a lockfile."""
    return dict(custom_metadata(load_yaml(lockfile.read_bytes()))) if lockfile.exists() else {}


def with_recorded(lockfile: bytes, said: Mapping[str, str | None]) -> bytes:
    """``lockfile`` with ``said`` in its metadata, and without those keys whose value is None."""
    document = load_yaml(lockfile)
    before = custom_metadata(document)
    custom = {name: value for name, value in before.items() if name not in said}
    custom |= {name: value for name, value in said.items() if value is not None}
    if custom == before:
        return lockfile
    document["metadata"].pop("custom_metadata", None)
    document["metadata"] |= {"custom_metadata": custom} if custom else {}
    return dump_yaml(document, lockfile)

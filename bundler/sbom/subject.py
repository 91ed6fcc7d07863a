"""The subject of an SBOM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.about.facts import Facts
    from bundler.locked import LockedPackage

__all__ = ["Subject"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """``packages`` are those of the environment, ``tools`` those that a bundle includes to install itself; ``facts`` is
    what is known about both.

    ``phase`` is CycloneDX's lifecycle phase: pre-build for a lockfile, build for a bundle. ``properties`` are
    additional properties, such as the release.
    """

    name: str
    version: str
    platform: str
    phase: Literal["pre-build", "build"]
    packages: tuple[LockedPackage, ...]
    facts: Mapping[LockedPackage, Facts | None]
    tools: tuple[LockedPackage, ...] = ()
    description: str = ""
    author: str = ""
    properties: tuple[tuple[str, str], ...] = ()

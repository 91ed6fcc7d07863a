"""What an SBOM is of."""

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
    """``packages`` are those of the environment, ``tools`` what a bundle brings beside it to install itself; ``facts``
    are what is known of both.

    ``phase`` is CycloneDX's word for when the SBOM was made: of a lockfile before the build, of a bundle by it.
    ``properties`` are what else is said of it, such as its release.
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

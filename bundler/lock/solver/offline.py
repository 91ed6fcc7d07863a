"""Solve offline, with rattler's repodata cache.

The cache does not record that a channel has no directory for a platform, such as a channel with only noarch packages.
So we record that next to the cache while there is a network.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from rattler import Subdir
from rattler.exceptions import GatewayError

from bundler.lock.solver.sources import Asked, make_gateway
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

    from rattler import Channel
    from rattler.repo_data.source import RepoDataSource

    from bundler.fetch.channels import Access
    from bundler.lock.solver.sources import Gateways, Source

__all__ = ["NotCachedError", "asked_subdirs", "at_hand", "note_absent", "queried"]

_NOARCH = Subdir("noarch")


class NotCachedError(Exception):
    """The cache has no repodata of ``channels``."""

    def __init__(self, channels: list[str]) -> None:
        super().__init__(", ".join(channels))
        self.channels = channels


async def at_hand(sources: tuple[Source, ...], platform: str, access: Access) -> tuple[Source, ...]:
    """The sources, at the addresses with cached repodata. Raises :class:`NotCachedError` with all that have none."""
    found = [await _cached_address(source, platform, access) for source in sources]
    if missing := [source.given for source, at in zip(sources, found, strict=True) if at is None]:
        raise NotCachedError(missing)
    return tuple(source for source in found if source)


async def _cached_address(source: Source, platform: str, access: Access) -> Source | None:
    for address in source.addresses:
        candidate = source.at(address)
        if not candidate.is_local and not await _has(candidate, "noarch", access):
            continue
        if candidate.is_local or await _has(candidate, platform, access) or _mark(candidate, platform).exists():
            return candidate
    return None


async def note_absent(sources: tuple[Source, ...], platform: str, access: Access) -> None:
    """Record which of ``sources``, all of which were just queried, have nothing for ``platform``."""
    cached = replace(access, offline=True)
    for source in sources:
        if not source.is_local and await _has(source, "noarch", cached):
            if await _has(source, platform, cached):
                _mark(source, platform).unlink(missing_ok=True)
            else:
                _mark(source, platform).touch()


def asked_subdirs(source: Source, platform: str, access: Access) -> list[Subdir]:
    """The subdirectories of ``source`` with packages for ``platform`` that can be queried."""
    absent = access.offline and not source.is_local and _mark(source, platform).exists()
    return [_NOARCH] if absent else [Subdir(platform), _NOARCH]


def queried(source: Source, platform: str, gateways: Gateways, access: Access) -> Channel | RepoDataSource:
    """The object for ``source`` to pass to the solver."""
    subdirs = asked_subdirs(source, platform, access)
    if len(subdirs) == 1 or source in gateways.apart:
        return Asked(source.reached, gateways.of(source), subdirs)
    return source.reached


async def _has(source: Source, subdir: str, access: Access) -> bool:
    try:
        gateway = make_gateway([source], access)
        await gateway.names(sources=[source.reached], platforms=[Subdir(subdir)], channel_relations="disabled")
    except GatewayError:
        return False
    return True


def _mark(source: Source, platform: str) -> Path:
    return cache_dir("absent") / hashlib.sha256(f"{source.base}/{platform}".encode()).hexdigest()

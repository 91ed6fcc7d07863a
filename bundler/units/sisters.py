"""What ``build`` says of services whose secrets another service of the bundle can read.

They share a user. A private user namespace keeps one process out of another's environment, memory and credentials
(ptrace(2), "Ptrace access mode checking"); between two services that both run without one, nothing does.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from bundler.units.sandbox import is_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig, Service
    from bundler.units.contents import Contents

__all__ = ["sister_notes"]


def sister_notes(config: BundleConfig, contents: Contents) -> tuple[str, ...]:
    """A sentence for each two services."""
    reachable = [service for service in config.services if not is_on(service, contents, "PrivateUsers")]
    return tuple(note for one, other in combinations(reachable, 2) for note in _of_two(config, one, other))


def _of_two(config: BundleConfig, one: Service, other: Service) -> Iterator[str]:
    secrets = [_secrets(config, service) for service in (one, other)]
    differing = sorted(secrets[0] ^ secrets[1])
    if differing:
        yield (
            f"services.{one.name} and services.{other.name} run as one user without PrivateUsers, so either can read "
            f"the other's environment and credentials, {', '.join(differing)} included. For a port below 1024 use "
            f'socket = "…" instead of ports, which needs no exception; or make two bundles of them'
        )


def _secrets(config: BundleConfig, service: Service) -> frozenset[str]:
    every = frozenset(secret.name for secret in config.secrets)
    return every if service.table.secrets is None else every & frozenset(service.table.secrets)

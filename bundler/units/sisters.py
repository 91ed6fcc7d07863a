"""Notes of ``build`` on services whose secrets another service of the bundle can read.

Services share a user, unless one has its own (``own_user``). A private user namespace protects a process's environment,
memory and credentials from the others (ptrace(2), "Ptrace access mode checking"); without it, nothing does. A server
without systemd, or whose kernel has no user namespaces, protects no service: install.sh warns about it
(templates/install/shared-users.sh).
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from bundler.units.sandbox import is_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.config.project import BundleConfig, Service
    from bundler.units.contents import Contents

__all__ = ["sister_notes", "sisters"]

_SECRETS = "/secrets.env"


def sister_notes(config: BundleConfig, contents: Contents) -> tuple[str, ...]:
    """A note for each pair of such services."""
    sharing = [service for service in config.services if not service.table.own_user]
    reachable = [service for service in sharing if not is_on(service, contents, "PrivateUsers")]
    return tuple(note for one, other in combinations(reachable, 2) for note in _of_two(config, one, other))


def _of_two(config: BundleConfig, one: Service, other: Service) -> Iterator[str]:
    secrets = [_secrets(config, service) for service in (one, other)]
    differing = sorted(secrets[0] ^ secrets[1])
    if differing:
        yield (
            f"services.{one.name} and services.{other.name} run as the same user without PrivateUsers, so each can "
            f"read the other's environment and credentials, including {', '.join(differing)}. Give one of them its own "
            f"user: services.{other.name}.own_user = true; or, for a port below 1024, use socket = "
            '"…" instead of ports, which needs no exception'
        )


def sisters(services: Mapping[str, tuple[tuple[str, str, str], ...]]) -> tuple[str, ...]:
    """Which of the services, by name and the directives of its unit, share a user but not all secrets."""
    users: dict[str, dict[str, frozenset[tuple[str, str]]]] = {}
    for name, directives in services.items():
        said = frozenset((key, value) for section, key, value in directives if section == "Service")
        user = next((value for key, value in said if key == "User"), "")
        users.setdefault(user, {})[name] = frozenset(
            (key, value)
            for key, value in said
            if key in ("LoadCredential", "UnsetEnvironment") or (key == "EnvironmentFile" and _SECRETS in value)
        )
    return tuple(name for given in users.values() if len(set(given.values())) > 1 for name in given)


def _secrets(config: BundleConfig, service: Service) -> frozenset[str]:
    every = frozenset(secret.name for secret in config.secrets)
    return every if service.table.secrets is None else every & frozenset(service.table.secrets)

"""Checks that involve several keys of bundle.toml: undefined names, conflicting names, dependency cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.config.instances import instance_problems
from bundler.config.overrideproblems import override_problems
from bundler.config.reserved import is_reserved, is_reserved_service, is_system
from bundler.config.sockets import resolve_socket
from bundler.config.users import user_problems
from bundler.systemd.directives import nearest

if TYPE_CHECKING:
    from bundler.config.bundleconfig import BundleConfig

__all__ = ["inconsistencies"]


def inconsistencies(config: BundleConfig) -> list[str]:
    """An error for each problem, with its key."""
    secrets = {secret.name for secret in config.secrets}
    return [
        *_taken_name(config),
        *(f"config.{name}: is also a secret" for name, _ in config.config if name in secrets),
        *(problem for service in config.services for problem in service.problems()),
        *_sockets(config),
        *override_problems(config),
        *user_problems(config),
        *instance_problems(config),
        *_names(config),
        *_references(config),
        *_hooks(config),
        *_circles(config),
        *_unnamed_nodes(config),
    ]


def _sockets(config: BundleConfig) -> list[str]:
    """Problems with the sockets of all services."""
    settings, problems = dict(config.config), []
    taken: dict[str, str] = {}
    for service in config.services:
        if service.table.socket is None:
            continue
        where = f"services.{service.name}.socket"
        try:
            address = resolve_socket(service.table.socket, service.name, settings)
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        if address.listen in taken:
            problems.append(f"{where}: services.{taken[address.listen]} has the same socket, {address.listen}")
        taken.setdefault(address.listen, service.name)
    return problems


def _taken_name(config: BundleConfig) -> list[str]:
    if not is_reserved(config.name):
        return []
    has = f"directories called {config.name!r}" if is_system(config.name) else f"a user or group {config.name!r}"
    taken = f"bundle.name: servers already have {has}"
    return [f"{taken}; choose a different name, such as my-{config.name}"]


def _names(config: BundleConfig) -> list[str]:
    """Services whose unit would have the name of another service's unit, or of the system's, or one of ours."""
    ours = {f"{config.name}-{unit}" for unit in ("recover", "first-boot")}
    taken = [
        f"services.{service.name}: servers already have a unit {service.unit} or a directory /run/{service.name}; "
        f"choose a different name, such as {config.name}-{service.name}"
        for service in config.services
        if is_reserved_service(service.name) or service.name in ours
    ]
    owner = {unit: service.name for service in config.services for unit in service.units if unit != service.unit}
    owner |= {hook.unit: hook.service.name for hook in config.hooks}
    return taken + [
        f"services.{service.name}: this name is used by a unit of services.{owner[service.unit]}"
        for service in config.services
        if service.unit in owner
    ]


def _hooks(config: BundleConfig) -> list[str]:
    """Problems with the service that hooks run as."""
    table, names = config.hooks_table, frozenset(service.name for service in config.services)
    if not table.given:
        return ["hooks.service: there is no hook"] if table.service else []
    if table.service and table.service not in names:
        return [f"hooks.service: there is no service {table.service!r}{nearest(table.service, names)}"]
    if not table.service and len(names) > 1:
        return [f"hooks.service: is required: which service should hooks run as, {', '.join(sorted(names))}?"]
    return []


def _references(config: BundleConfig) -> list[str]:
    """References to services and secrets that do not exist."""
    names = frozenset(service.name for service in config.services)
    secrets = frozenset(secret.name for secret in config.secrets)
    problems: list[str] = []
    for service in config.services:
        where, table = f"services.{service.name}", service.table
        problems += [f"{where}.environment.{key}: is also a secret" for key in table.environment if key in secrets]
        problems += [
            f"{where}.{key}: there is no service {name!r}{nearest(name, names)}"
            for key in ("after", "wants", "requires")
            for name in getattr(table, key)
            if name not in names
        ]
        problems += [
            f"{where}.secrets: there is no secret {name!r}{nearest(name, secrets)}"
            for name in table.secrets or ()
            if name not in secrets
        ]
    return problems


def _circles(config: BundleConfig) -> list[str]:
    """Dependency cycles, which systemd would break by dropping any one of the services."""
    before = {service.name: set(service.table.ordered_after) for service in config.services}
    while True:
        free = [name for name, names in before.items() if not names & before.keys()]
        if not free:
            break
        for name in free:
            del before[name]
    return [f"services: dependency cycle: {', '.join(sorted(before))}"] if before else []


def _unnamed_nodes(config: BundleConfig) -> list[str]:
    """Erlang nodes that listen on all addresses without a node name that others can reach."""
    if config.release.distribution != "name" or config.release.listen != "0.0.0.0":  # noqa: S104 -- compared
        return []
    named = {name for name, _ in config.config}
    return [
        f"release.listen: services.{service.name} cannot derive its node name from 0.0.0.0; set RELEASE_NODE in its "
        "environment or in [config], such as hello@10.0.0.5, or let each server's operator set ERL_DIST_LISTEN, which "
        "also names the node"
        for service in config.services
        if service.table.profile == "beam" and "RELEASE_NODE" not in named | set(service.table.environment)
    ]

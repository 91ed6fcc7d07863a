"""Errors in ``[services.*] unit``: directives that only we may set, and values that systemd does not accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.config.fields import PLACE
from bundler.config.users import user_of
from bundler.systemd.accumulating import accumulates, is_whole
from bundler.systemd.directives import DIRECTIVES
from bundler.systemd.values import check_value
from bundler.systemd.words import check_specifiers, split_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.bundleconfig import BundleConfig
    from bundler.config.services import Service

__all__ = ["override_problems"]


_RESERVED = {
    "ExecStart": "use services.{name}.command",
    "Type": 'set services.{name}.type, "exec" or "notify", or a schedule for a job',
    "User": "services run as the bundle's own user, who owns its state; or set services.{name}.own_user",
    "Group": "services run as the bundle's own user and group; SupplementaryGroups adds to them",
    "DynamicUser": "services run as the bundle's own user, who owns its state; or set services.{name}.own_user",
}
_SOCKETS = {
    **{
        directive: "use services.{name}.socket"
        for directive in sorted(DIRECTIVES["Socket"])
        if directive.startswith("Listen")
    },
    "Service": "it is always opened for services.{name}",
    "SocketUser": "a socket belongs to the bundle's own user",
    "SocketGroup": "set services.{name}.socket_group",
    "SocketMode": "set services.{name}.socket_mode",
    "Accept": "one process takes all connections",
    "MaxConnections": "systemd does not count the connections that one process takes",
    "MaxConnectionsPerSource": "systemd does not count the connections that one process takes",
}
_LISTED = {
    "StateDirectory": "{state}",
    "CacheDirectory": "{cache}",
    "LogsDirectory": "its logs' directory",
    "RuntimeDirectory": "{runtime}",
}
"""Directives whose first directory is ours, and the placeholder for it."""


def override_problems(config: BundleConfig) -> list[str]:
    """The errors in the overrides of all services."""
    return [problem for service in config.services for problem in _of_service(config, service)]


def _of_service(config: BundleConfig, service: Service) -> Iterator[str]:
    for section in DIRECTIVES:
        for directive, lines in service.table.unit.lines(section).items():
            where = f"services.{service.name}.unit.{section}.{directive}"
            reserved = {"Service": _RESERVED, "Socket": _SOCKETS}.get(section, {})
            if directive in reserved:
                yield f"{where}: cannot be overridden: " + reserved[directive].format(name=service.name)
                continue
            problems = [*_of_lines(section, directive, lines), *_of_ours(config, service, directive, lines)]
            yield from (f"{where}: {problem}" for problem in problems)
    if service.table.schedule and service.table.unit.last("Service", "Restart", "no") in ("always", "on-success"):
        yield (
            f"services.{service.name}.unit.Service.Restart: systemd does not allow always for a job; use on-failure, "
            "or leave repetition to the schedule"
        )


def _of_lines(section: str, directive: str, lines: tuple[str, ...]) -> Iterator[str]:
    """Values that systemd would not accept."""
    values = [PLACE.sub(lambda found: found[1] or "/place", line) for line in lines if line]
    if not accumulates(section, directive) and len(values) > 1:
        yield "takes a single value: with several lines, only the last one would apply"
    for value in values:
        try:
            if directive.startswith("Exec") and not directive.endswith(("Paths", "Path", "Type")):
                check_specifiers(value)
                split_words(value)
            elif not is_whole(directive, value):
                check_value(section, directive, value)
        except ValueError as error:
            yield str(error)


def _of_ours(config: BundleConfig, service: Service, directive: str, lines: tuple[str, ...]) -> Iterator[str]:
    """Values that conflict with our own lines of the same directive."""
    secrets = {secret.name for secret in config.secrets}
    if "" in lines and directive in _LISTED:
        yield f"{_LISTED[directive]} is created by it and cannot be removed; remove the empty string"
    if "" in lines and directive in ("LoadCredential", "UnsetEnvironment") and secrets:
        yield f"services.{service.name}.secrets decides which secrets it gets; remove the empty string"
    try:
        words = [word.text for line in lines for word in split_words(line)]
    except ValueError:
        return  # said already
    if directive in _LISTED and directive != "RuntimeDirectory":
        own = user_of(config, service)
        for word in words:
            if word != own and not word.startswith(f"{own}/"):
                yield (
                    f"{word!r} may belong to another program, and systemd would hand it over to this service; write"
                    f" {own}/{word.strip('/')}"
                )
    if directive in _LISTED:
        yield from _of_directories(config, service, directive, words)
    if directive == "Environment":
        named = [word.partition("=")[0] for word in words]
        yield from (f"{name} is also a secret" for name in named if name in secrets)
    if directive in ("LoadCredential", "SetCredential", "LoadCredentialEncrypted", "SetCredentialEncrypted"):
        named = [line.partition(":")[0] for line in lines]
        yield from (f"{name} is also a secret" for name in named if name in secrets)


def _of_directories(config: BundleConfig, service: Service, directive: str, words: list[str]) -> Iterator[str]:
    """Directories inside the service's own ones that it could not create itself (bundler.units.ownplaces)."""
    own = service.name if directive == "RuntimeDirectory" else user_of(config, service)
    strangers = {other.name for other in config.services if user_of(config, other) != user_of(config, service)}
    others = {other.name for other in config.services}
    for other in config.services:
        others |= {word for line in other.table.unit.lines("Service").get(directive, ()) for word in line.split()}
    for word in words:
        if word.startswith(f"{own}/") and ":" in word:
            yield f"{word!r} is inside the service's own directory; create the link from the service itself"
        elif directive == "RuntimeDirectory" and word in strangers:
            yield f"/run/{word} belongs to services.{word}, which runs as another user; systemd would take it away"
        elif directive == "RuntimeDirectory" and not word.startswith(f"{own}/"):
            inside = [other for other in sorted(others - {own}) if word.startswith(f"{other}/")]
            yield from (
                f"{word!r} is inside /run/{other}, which a service can write to, and systemd would follow a symbolic "
                f"link planted there; write {own}/{word.rpartition('/')[2]}"
                for other in inside
            )

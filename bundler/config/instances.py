"""Checks of services with ``instances``: what has to differ between instances must contain the number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.config.fields import INSTANCE, PLACE
from bundler.systemd.directives import DIRECTIVES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.bundleconfig import BundleConfig
    from bundler.config.services import Service

__all__ = ["VARIABLE", "instance_problems", "numbered"]

VARIABLE = "INSTANCE"
"""The variable with an instance's number."""
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PORT = re.compile(r"[a-z]+://[^/]*:([0-9]+)(?:/|$)")


def numbered(text: str, number: int) -> str:
    """A health check's address for one instance."""
    return text.replace(f"{{{INSTANCE}}}", str(number))


def instance_problems(config: BundleConfig) -> list[str]:
    """An error for each problem."""
    problems = [problem for service in config.services for problem in _of_service(config, service)]
    if any(service.numbers for service in config.services):
        problems += [
            f"config.{name}: is reserved for the instance number; rename the setting"
            for name in (VARIABLE,)
            if name in dict(config.config) or name in {secret.name for secret in config.secrets}
        ]
    problems += [
        f"hooks.{hook.key}: {{{INSTANCE}}} is not allowed here, because a hook runs only once; write the number"
        for hook in config.hooks
        if any(_names_it(word) for word in hook.table.command)
    ]
    return problems


def _of_service(config: BundleConfig, service: Service) -> Iterator[str]:
    where, table = f"services.{service.name}", service.table
    if not service.numbers:
        yield from (
            f"{where}.{key}: {{{INSTANCE}}} is for a service with instances; set {where}.instances, or write"
            f" {{{{{INSTANCE}}}}} for the word in braces itself"
            for key, texts in _texts(service)
            if any(_names_it(text) for text in texts)
        )
        return
    if VARIABLE in table.environment:
        yield f"{where}.environment.{VARIABLE}: is reserved for the instance number; rename the variable"
    if table.profile == "beam" and config.release.distribution != "none":
        yield (
            f"{where}.instances: its Erlang nodes would share one name and port; "
            'set release.distribution = "none", or define one service per node'
        )
    yield from _address_problems(service)


def _address_problems(service: Service) -> Iterator[str]:
    """Health checks that would use the same address for all instances, or an invalid one."""
    health = service.table.health
    if health is None or not health.url:
        return
    key = f"services.{service.name}.health.{'tcp' if health.tcp else 'http'}"
    own = {name for name, value in service.table.environment.items() if _names_it(value)}
    if f"{{{INSTANCE}}}" not in health.url and not own & set(_NAMED.findall(health.url)):
        yield (
            f"{key}: all instances would share this health check address; put {{{INSTANCE}}} into it (127.0.0.1:900"
            f"{{{INSTANCE}}}), or a variable that contains it in services.{service.name}.environment"
        )
    for number in service.numbers:
        port = _PORT.match(numbered(health.url, number))
        if port and int(port[1]) > 65535:
            yield f"{key}: instance {number} would be checked at port {port[1]}; the maximum is 65535"
            return


def _texts(service: Service) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Keys that may contain placeholders, with their values."""
    table = service.table
    yield "command", table.command
    yield "before_start", tuple(word for words in table.before_start for word in words)
    yield from ((f"environment.{name}", (value,)) for name, value in table.environment.items())
    yield "working_directory", (table.working_directory,)
    if isinstance(table.reload, tuple):
        yield "reload", table.reload
    if table.health:
        yield "health.command", table.health.command or ()
        yield "health.tcp", (table.health.tcp or "",)
        # a path may contain such a word
        yield "health.http", ("/".join((table.health.http or "").split("/")[:3]),)
    for section in DIRECTIVES:
        for directive, lines in table.unit.lines(section).items():
            yield f"unit.{section}.{directive}", lines


def _names_it(text: str) -> bool:
    return any(found[2] == INSTANCE for found in PLACE.finditer(text))

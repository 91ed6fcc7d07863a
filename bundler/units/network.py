"""Whether a service has to wait for the network: whether it names an address that only a network brings.

``network.target`` says that the network is being set up; an address may be there minutes later (systemd.special(7)).
Without an address of a network nothing is gained by waiting, and a machine without a network would start late.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig, Service

__all__ = ["needs_network"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@\s]*@)?(\[[0-9A-Fa-f:.]+\]|[^/?#:\s\[\]@,]+)")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9]+(?:\.[0-9]+){3})(?::[0-9]+)?")
_VARIABLE = re.compile(r"(?:[a-z]+://)?\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OWN = ("localhost", "localhost.localdomain", "ip6-localhost")


def needs_network(config: BundleConfig, service: Service) -> bool:
    """Whether ``service`` is to be started after ``network-online.target``.

    Unless ``network_online`` says so: if a value of ``[config]`` or of its ``environment``, a word of its ``command``,
    or its health check names an address (alone, before a port, or as a URL's host) that is neither loopback nor
    unspecified, or if the host of its health check is a variable, which the operator may set.
    """
    table = service.table
    if table.network_online is not None:
        return table.network_online
    health = table.health.url if table.health else ""
    if _VARIABLE.match(health):
        return True
    values = (*(value for _, value in config.config), *table.environment.values(), *table.command, health)
    return any(_is_of_a_network(host) for value in values for host in _hosts(value))


def _hosts(value: str) -> Iterator[str]:
    """What ``value`` names: the hosts of its URLs, or addresses in a list or behind an option's ``=``."""
    urls = _URL.findall(value)
    yield from urls
    if urls:
        return
    for word in re.split(r"[\s,;=]+", value):
        found = _HOST_PORT.fullmatch(word)
        if found:
            yield found[1]
        elif word.count(":") > 1:
            yield word


def _is_of_a_network(host: str) -> bool:
    name = host.strip("[]").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        # A name: of a URL alone, so it is one that is asked. A colon makes it no name, a brace a variable.
        return bool(re.fullmatch(r"[a-z0-9_.-]+", name)) and name not in _OWN and not name.endswith(".localhost")
    return not (address.is_loopback or address.is_unspecified)

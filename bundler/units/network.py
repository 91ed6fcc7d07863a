"""Whether a service has to wait for the network: whether it uses an address on a network.

``network.target`` only means that the network is being set up; an address may appear minutes later
(systemd.special(7)). A service that uses no such address would gain nothing by waiting, and would start late on a
machine without a network.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from bundler.units.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig, Service

__all__ = ["needs_network"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@\s]*@)?(\[[0-9A-Fa-f:.]+\]|[^/?#:\s\[\]@,]+)")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9]+(?:\.[0-9]+){3})(?::[0-9]+)?")
_NAME_PORT = re.compile(r"([A-Za-z0-9_.-]*[A-Za-z][A-Za-z0-9_.-]*):[0-9]{2,5}")
_VARIABLE = re.compile(r"(?:[a-z]+://)?\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CALLED = r"(?:[A-Za-z0-9_-]*[-_])?(?:host|hostname|server)"
_OF_A_HOST = re.compile(_CALLED, re.IGNORECASE)
"""Names of variables and options whose value is a host name."""
_GIVEN = re.compile(rf"(?:^|[\s?&;,='\"]){_CALLED}=([A-Za-z0-9_.-]+)(?=$|[\s&;,'\"])", re.IGNORECASE)
_OWN = ("localhost", "localhost.localdomain", "ip6-localhost")


def needs_network(config: BundleConfig, service: Service) -> bool:
    """Whether ``service`` is to be started after ``network-online.target``.

    Unless ``network_online`` says so: if a value of ``[config]`` or of its ``environment``, a word of its ``command``
    or ``before_start`` (or of the same in an override), or its health check names an address (alone, before a port, or
    as a URL's host) that is neither loopback nor unspecified, or if the host of its health check is a variable, which
    the operator may set. A word is a host name before a port, in a URL, and as the value of something called ``…host``
    or ``…server``.
    """
    table = service.table
    if table.network_online is not None:
        return table.network_online
    health = table.health.url if table.health else ""
    if _VARIABLE.match(health):
        return True
    values = [f"{name}={value}" for name, value in (*config.config, *table.environment.items())]
    for directive, lines in table.unit.lines("Service").items():
        values += lines if directive == "Environment" or directive in COMMANDS else ()
    for words in (table.command, *table.before_start):
        values += _options(words)
    return any(_is_of_a_network(host) for value in (*values, health) for host in _hosts(value))


def _options(words: tuple[str, ...]) -> Iterator[str]:
    """The words, and an option with its value as ``host=value``."""
    for index, word in enumerate(words):
        before = words[index - 1] if index else ""
        is_value = before.startswith("-") and _OF_A_HOST.fullmatch(before.lstrip("-"))
        yield f"{before.lstrip('-')}={word}" if is_value else word.lstrip("-")


def _hosts(value: str) -> Iterator[str]:
    """The hosts that ``value`` names: in URLs, in a list of addresses, or after an option's ``=``."""
    urls = _URL.findall(value)
    yield from urls
    if urls:
        return
    yield from _GIVEN.findall(value)
    for word in re.split(r"[\s,;=()@]+", value):
        if found := _HOST_PORT.fullmatch(word) or _NAME_PORT.fullmatch(word):
            yield found[1]
        elif word.count(":") > 1:
            yield word


def _is_of_a_network(host: str) -> bool:
    name = host.strip("[]").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        # A name in a URL or before a port, so it is resolved. A colon means that it is not a name, a brace that it is
        # a variable.
        return bool(re.fullmatch(r"[a-z0-9_.-]+", name)) and name not in _OWN and not name.endswith(".localhost")
    address = getattr(address, "ipv4_mapped", None) or address
    return not (address.is_loopback or address.is_unspecified)

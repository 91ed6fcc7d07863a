"""Which addresses a unit may reach: a service, by its ``network``; our probe, by the address that it checks.

The filter applies to incoming and outgoing traffic (systemd.resource-control(5)). It requires cgroup v2; install.sh
warns where that is missing (templates/install/networks.sh).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.config.networks import literal_address

if TYPE_CHECKING:
    from bundler.config.services import Service
    from bundler.units.unitfile import Lines

__all__ = ["probe_addresses", "service_addresses"]

_NOWHERE = ("IPAddressDeny", "any")
_LOOPBACK = ("IPAddressAllow", "localhost")  # systemd's word for 127.0.0.0/8 and ::1


def service_addresses(service: Service) -> Lines:
    """For a service, its hooks, and a health command of its own."""
    network = service.table.network
    if network is None:
        return ()
    if network == "none":
        return (("PrivateNetwork", "yes"), _NOWHERE)
    ranges = () if network == "loopback" else network
    return (_NOWHERE, _LOOPBACK, *(("IPAddressAllow", one) for one in ranges))


def probe_addresses(service: Service) -> Lines:
    """For our own probe: the address that it checks, unless a host name or a variable hides it from the build."""
    health = service.table.health
    if health and health.url.startswith("unix:"):
        return (_NOWHERE,)
    address = literal_address(health.host) if health else None
    if address is None:
        return ()
    if address.is_loopback or address.is_unspecified:
        return (_NOWHERE, _LOOPBACK)
    return (_NOWHERE, ("IPAddressAllow", str(address)))

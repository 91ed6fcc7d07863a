"""Which addresses a unit may reach: a service by its ``network``, our probe by what it asks.

The filter (systemd.resource-control(5)) counts in both directions. Control groups of version 1 have none, which
install.sh tells (templates/install/networks.sh).
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
    """For our own probe: the address that it asks. Of a name or a variable the build does not know which that is."""
    health = service.table.health
    if health and health.url.startswith("unix:"):
        return (_NOWHERE,)
    address = literal_address(health.host) if health else None
    if address is None:
        return ()
    if address.is_loopback or address.is_unspecified:
        return (_NOWHERE, _LOOPBACK)
    return (_NOWHERE, ("IPAddressAllow", str(address)))

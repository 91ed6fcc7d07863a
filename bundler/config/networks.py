"""``services.<unit>.network``: the addresses with which a service may communicate."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from bundler.config.fields import Line

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Network", "allows", "literal_address"]


def _range(value: str) -> str:
    """``10.0.0.0/8``, or a single address. Raises ValueError."""
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        reason = str(error)
    if "host bits" in reason:
        raise ValueError(f"{value} has host bits set; the range is {ipaddress.ip_network(value, strict=False)}")
    raise ValueError(f"{value!r} is not an IP address or range, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8")


_Range = Annotated[Line, AfterValidator(_range)]
Network: TypeAlias = Literal["none", "loopback"] | Annotated[tuple[_Range, ...], Field(min_length=1)]
"""``none``: no network; ``loopback``: only this machine; or ranges of addresses, in addition to loopback."""


def literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """``127.0.0.1``, ``[::1]`` or ``localhost`` as an address; None for a name or a variable."""
    if host == "localhost":
        return ipaddress.ip_address("127.0.0.1")
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def allows(ranges: Iterable[str], address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether a service with these ranges can be reached at ``address``, one of its own machine's."""
    return address.is_loopback or address.is_unspecified or any(address in ipaddress.ip_network(one) for one in ranges)

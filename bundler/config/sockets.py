"""``services.<name>.socket``: the address that systemd opens for a service, and keeps open while it restarts.

A socket unit does not read an EnvironmentFile (systemd.socket(5)), so ``${PORT}`` has the value in ``[config]``.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SocketAddress", "check_socket", "resolve_socket"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_VALUE = r"(?:[0-9A-Za-z.]|\$\{[A-Za-z_][A-Za-z0-9_]*\})+"
_ADDRESS = re.compile(rf"(?:(?:{_VALUE}|\[[0-9A-Fa-f:.]+\]):)?{_VALUE}")
_RUNTIME = re.compile(r"\{runtime\}/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*")
_RUN = re.compile(r"/run(?:/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)+")
_LONGEST = 107
"""The maximum length of a Unix socket's path in bytes (unix(7))."""


@dataclass(frozen=True, kw_only=True)
class SocketAddress:
    """The address of a socket: ``host`` and ``port``, or an absolute ``path``.

    An empty ``host`` means all addresses. ``variables`` are those of ``[config]`` that were expanded in it.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    variables: tuple[str, ...] = ()

    @property
    def listen(self) -> str:
        """The value for ``ListenStream=``."""
        return self.path or (f"{self.host}:{self.port}" if self.host else str(self.port))

    @property
    def of_one_network(self) -> bool:
        """Whether the address exists only while a network is up."""
        if not self.host:
            return False
        address = ipaddress.ip_address(self.host.strip("[]"))
        return not (address.is_loopback or address.is_unspecified)


def check_socket(value: str) -> str:
    """Raises ValueError if it cannot be an address, whatever the values of its variables."""
    if not any(pattern.fullmatch(value) for pattern in (_ADDRESS, _RUNTIME, _RUN)):
        raise ValueError(
            "not an address to listen on; write 127.0.0.1:8000, [::1]:8000, 8000 for all addresses, or the path of a "
            "Unix socket: {runtime}/web.sock, or one below /run"
        )
    return value


def resolve_socket(value: str, service: str, settings: Mapping[str, str]) -> SocketAddress:
    """The address for the service called ``service``, with the ``settings`` of ``[config]`` filled in.

    Raises ValueError with a sentence.
    """
    if "/" in value:
        return _path(value.replace("{runtime}", f"/run/{service}"), service)
    variables = tuple(dict.fromkeys(_VARIABLE.findall(value)))
    missing = [name for name in variables if name not in settings]
    if missing:
        raise ValueError(f"${{{missing[0]}}} has no value in [config]; set it there, or write the address itself")
    filled = _VARIABLE.sub(lambda found: settings[found[1]], value)
    host, _, port = filled.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{port!r} is not a port number from 1 to 65535")
    if host:
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            raise ValueError(
                f"{host!r} is not an IP address, and systemd does not resolve host names for sockets; write an "
                "address such as 127.0.0.1"
            ) from None
        host = f"[{address}]" if address.version == 6 else str(address)
    return SocketAddress(host=host, port=int(port), variables=variables)


def _path(path: str, service: str) -> SocketAddress:
    own = f"/run/{service}/"
    if path.startswith(own) and "/" in path.removeprefix(own):
        raise ValueError(
            "a socket must be directly in {runtime}, not in a subdirectory, which the service could replace"
        )
    if len(path) > _LONGEST:
        raise ValueError(f"{path} is too long for a Unix socket: {len(path)} bytes, maximum {_LONGEST}")
    return SocketAddress(path=path)

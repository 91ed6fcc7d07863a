"""Which credentials a URL is asked for with: its own, or those that rattler would take from where it keeps them.

The solver reads a channel's repodata with rattler, and what that may read the download of the packages has to be able
to. rattler has no way to tell what it knows, so its stores are read here as it reads them, in its order: the file that
``RATTLER_AUTH_FILE`` names, the keyring (service ``rattler``), ``~/.rattler/credentials.json``, netrc (``NETRC`` or
``~/.netrc``). The first two and the third hold rattler's own form: ``{"host": {"BearerToken": "…"}}``; a host is a name
without port, or ``*.example.org``.

None of them knows schemes or ports. So what they have for a host is for HTTPS at its usual port, and for the servers
that the user's own URLs name; what a lockfile, a channel or a redirect leads to besides gets nothing.
"""

from __future__ import annotations

import base64
import functools
import json
import netrc
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bundler.errors import ConfigError
from bundler.fetch.channels import public_url, server_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Credentials", "Request", "own_request"]

_SERVICE = "rattler"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What goes over the line, and is never shown. ``url`` has no user in it, but a token where one is wanted."""

    url: str
    authorization: str | None = None


def own_request(url: str) -> Request:
    """``url``, whose variables are filled in, with nothing but the credentials that stand in it."""
    parts = urlsplit(url)
    if parts.username is None:
        return Request(url=url)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return Request(url=plain, authorization=_basic(unquote(parts.username), unquote(parts.password or "")))


class Credentials:
    """The user's stores, each read once, for HTTPS at its usual port and the ``servers`` that the user names."""

    def __init__(self, servers: Collection[str] = ()) -> None:
        self._servers = frozenset(servers)

    def request(self, url: str) -> Request:
        """``url``, whose variables are filled in, as it is to be asked for. Raises :class:`ConfigError`."""
        request = own_request(url)
        if request.authorization or public_url(request.url) != request.url:
            return request  # it brings a password or a token
        server = server_of(url)
        if server not in self._servers and not (server.startswith("https://") and server.endswith(":443")):
            return request
        parts = urlsplit(url)
        match self._stored(parts.hostname or ""):
            case {"BasicHTTP": {"username": str(user), "password": str(password)}}:
                return Request(url=url, authorization=_basic(user, password))
            case {"BearerToken": str(token)} | {"OAuth": {"access_token": str(token)}}:
                return Request(url=url, authorization=f"Bearer {token}")
            case {"CondaToken": str(token)}:
                return Request(url=parts._replace(path=f"/t/{token}{parts.path}").geturl())
        return request

    @functools.cache  # noqa: B019 -- one of these lives as long as a build
    def _stored(self, host: str) -> Any:
        for name in _names(host):
            for look_up in (self._from_named_file, _from_keyring, self._from_default_file, _from_netrc):
                if found := look_up(name):
                    return found
        return None

    def _from_named_file(self, host: str) -> Any:
        name = os.environ.get("RATTLER_AUTH_FILE")
        return self._read(Path(name)).get(host) if name else None

    def _from_default_file(self, host: str) -> Any:
        return self._read(Path.home() / ".rattler" / "credentials.json").get(host)

    @functools.cache  # noqa: B019
    def _read(self, path: Path) -> dict[str, Any]:
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not JSON"  # never what is in it
            raise ConfigError(f"cannot read its credentials: {reason}", where=str(path)) from None
        return document if isinstance(document, dict) else {}


def _names(host: str) -> Iterator[str]:
    """What credentials for ``host`` may be kept under: itself, then ever wider domains."""
    yield host
    if host.replace(".", "").isdigit() or ":" in host:
        return  # an address has no domain
    while host:
        yield f"*.{host}"
        host = host.partition(".")[2]


def _from_keyring(host: str) -> Any:
    if sys.platform != "darwin":  # looking for macOS's libraries, that backend starts compilers and linkers
        sys.modules.setdefault("keyring.backends.macOS", ModuleType("keyring.backends.macOS"))
    import keyring
    from keyring.errors import KeyringError

    try:
        found = keyring.get_password(_SERVICE, host)
        return json.loads(found) if found else None
    except (KeyringError, ValueError):  # none on this machine, a locked one, or an entry that is not rattler's
        return None


def _from_netrc(host: str) -> Any:
    named = os.environ.get("NETRC")
    try:
        hosts = netrc.netrc(named or Path.home() / ".netrc").hosts
    except FileNotFoundError:
        return None
    except (OSError, netrc.NetrcParseError) as error:
        where = named or "~/.netrc"
        reason = error.strerror if isinstance(error, OSError) else f"line {error.lineno} is wrong"
        raise ConfigError(f"cannot read its credentials: {reason}", where=where) from None
    if host not in hosts:  # nor does rattler know of `default`, which would give every server the password
        return None
    user, account, password = hosts[host]
    return {"BasicHTTP": {"username": user or account or "", "password": password or ""}}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

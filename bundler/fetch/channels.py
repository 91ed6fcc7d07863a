"""How channels are reached: at which addresses, how patiently, or not at all; and what these may be told."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from bundler.errors import ConfigError, without_credentials
from bundler.fetch.secrets import VARIABLE, braced, has_secret, public_url, written_out

__all__ = [
    "ANYHOW",
    "LONGEST_READ",
    "MOST_RETRIES",
    "VARIABLE",
    "Access",
    "Priority",
    "has_secret",
    "public_url",
    "server_of",
    "variables_of",
    "with_variables",
    "written_out",
]

Priority = Literal["strict", "flexible"]
MOST_RETRIES = 20
LONGEST_READ = 3600
"""Seconds without a byte that may be allowed."""
_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, kw_only=True)
class Access:
    """How channels are reached.

    ``mirrors`` are pairs of what a URL begins with and what is asked in its place, one after the other. A request is
    tried again ``retries`` times, and given up when nothing comes for ``read_timeout`` seconds. ``offline``: only
    caches and local files. ``own`` are the URLs of channels and package indexes as the user gives them: with those of
    mirrors they are all that may name environment variables, and whose servers get stored credentials.
    """

    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    priority: Priority = "strict"
    retries: int = 4
    read_timeout: float = 30
    offline: bool = False
    own: tuple[str, ...] = ()

    def addresses(self, url: str) -> tuple[str, ...]:
        """Where ``url`` is asked for, the first first: at the mirrors of the longest beginning, else at itself.

        Credentials in ``url`` are for its own server, no mirror gets them.
        """
        plain = public_url(url)
        found = [(base, mirrors) for base, mirrors in self.mirrors if plain == base or plain.startswith(f"{base}/")]
        if not found:
            return (url,)
        base, mirrors = max(found, key=lambda pair: len(pair[0]))
        return tuple(url if mirror == base else mirror + plain.removeprefix(base) for mirror in mirrors)

    @property
    def servers(self) -> frozenset[str]:
        """Those that the user names (:func:`server_of`)."""
        return frozenset(map(server_of, self._given()))

    def filled(self, url: str, *, where: str, quoted: bool = False) -> str:
        """``url`` with the values of its variables, percent-encoded if ``quoted``.

        Raises :class:`ConfigError` if one is not set, or is not a part of what the user gives.
        """
        begin = self.named(url, where=where)
        return with_variables(begin, where=where, quoted=quoted) + braced(url).removeprefix(begin)

    def named(self, url: str, *, where: str) -> str:
        """What ``url`` begins with and has its variables in, which the user gives so; empty if it has none.

        What comes from a channel, an index or a lockfile is sent no variable that it chooses itself. Raises
        :class:`ConfigError`.
        """
        if "$" not in url:
            return ""
        whole = braced(url)
        for begin in (_with_variables(braced(own)) for own in self._given() if "$" in own):
            rest = whole.removeprefix(begin)
            if rest != whole and rest[:1] in ("", "/") and "$" not in rest:
                return begin
        raise ConfigError(
            f"the URL {without_credentials(url)} contains an environment variable that none of your channels, mirrors "
            "or package indexes uses",
            where=where,
            remedy="Find out where the URL comes from. To send the variable there, use it in that URL in "
            "environment.yml, in bundle.toml ([channels] mirrors) or with --channel.",
        )

    def _given(self) -> tuple[str, ...]:
        return (*self.own, *(url for base, mirrors in self.mirrors for url in (base, *mirrors)))


ANYHOW = Access()
"""How they are reached where nothing is said."""


def _with_variables(url: str) -> str:
    """What ``url`` begins with, up to the end of the part that has its last variable."""
    end = url.find("/", url.rindex("$"))
    return url if end < 0 else url[:end]


def server_of(url: str) -> str:
    """The server of an HTTP URL: ``scheme://host:port``. Empty for any other URL."""
    found = re.match(r"(https?)://(?:[^/?#]*@)?([^/?#]*)", url, re.IGNORECASE)
    if found is None:
        return ""
    scheme, place = found[1].lower(), found[2].lower()
    has_port = re.search(r":\d+$", place)
    return f"{scheme}://{place}" if has_port else f"{scheme}://{place.rstrip(':')}:{_PORTS[scheme]}"


def variables_of(url: str, *, where: str) -> dict[str, str]:
    """The environment variables that ``url`` names, with their values. Raises :class:`ConfigError` if one is not set.

    Lockfile and bundle.toml have the name alone.
    """
    names = dict.fromkeys(VARIABLE.findall(url))
    if missing := [name for name in names if name not in os.environ]:
        raise ConfigError(
            f"{without_credentials(url)} needs the environment variable {missing[0]}, which is not set",
            where=where,
            remedy=f"Set {missing[0]} in conda-bundler's environment; its value is not stored in any file.",
        )
    return {name: os.environ[name] for name in names}


def with_variables(url: str, *, where: str, quoted: bool = False) -> str:
    """``url``, which the user gives, with the values of its variables, percent-encoded if ``quoted``.

    Raises :class:`ConfigError` if one is not set.
    """
    values = variables_of(url, where=where)
    return VARIABLE.sub(lambda found: quote(values[found[1]], safe="") if quoted else values[found[1]], url)

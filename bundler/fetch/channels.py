"""How channels are reached: at which addresses, how patiently, or not at all."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from bundler.errors import ConfigError

__all__ = ["ANYHOW", "VARIABLE", "Access", "Priority", "has_secret", "public_url", "with_variables"]

VARIABLE = re.compile(r"\$\{?(\w+)\}?")
"""An environment variable in a channel's URL, as conda-lock keeps credentials out of the lockfile."""

_USER = re.compile(r"(?<=//)[^/@]*@")
_TOKEN = re.compile(r"/t/([^/]+)(?=/|$)")

Priority = Literal["strict", "flexible"]


@dataclass(frozen=True, kw_only=True)
class Access:
    """How channels are reached.

    ``mirrors`` are pairs of what a URL begins with and what is asked in its place, one after the other. A request is
    tried again ``retries`` times, and given up when nothing came for ``read_timeout`` seconds. ``offline``: nothing but
    caches and local files.
    """

    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    priority: Priority = "strict"
    retries: int = 4
    read_timeout: float = 30
    offline: bool = False

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


ANYHOW = Access()
"""How they are reached where nothing is said."""


def public_url(url: str) -> str:
    """``url`` without user, password and token, be they written out or variables."""
    return _TOKEN.sub("", _USER.sub("", url)) if re.match(r"https?://", url) else url


def has_secret(url: str) -> bool:
    """Whether a password or token itself stands in ``url``, and not the name of a variable."""
    if not re.match(r"https?://", url):
        return False
    token = _TOKEN.search(urlsplit(url).path)
    return any(secret and "$" not in secret for secret in (urlsplit(url).password, token and token[1]))


def with_variables(url: str, *, where: str, quoted: bool = False) -> str:
    """``url`` with the values of its variables, percent-encoded if ``quoted``.

    Raises :class:`ConfigError` if one is not set.
    """
    for name in VARIABLE.findall(url):
        if name not in os.environ:
            raise ConfigError(
                f"the URL {url} needs the environment variable {name}, which is not set",
                where=where,
                remedy=f"Set {name}, as it was when the environment was locked.",
            )
    return VARIABLE.sub(lambda found: quote(os.environ[found[1]], safe="") if quoted else os.environ[found[1]], url)

"""How channels are reached: at which addresses, how patiently, or not at all."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from bundler.errors import ConfigError, without_credentials

__all__ = [
    "ANYHOW",
    "LONGEST_READ",
    "MOST_RETRIES",
    "VARIABLE",
    "Access",
    "Priority",
    "has_secret",
    "public_url",
    "variables_of",
    "with_variables",
    "written_out",
]

VARIABLE = re.compile(r"\$\{?(\w+)\}?")
"""An environment variable in a channel's URL, as conda-lock keeps credentials out of the lockfile."""

_USER = re.compile(r"(?<=//)[^/@]*@")
_TOKEN = re.compile(r"/t/([^/]+)(?=/|$)")

Priority = Literal["strict", "flexible"]
MOST_RETRIES = 20
LONGEST_READ = 3600
"""Seconds without a byte that may be allowed."""


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


def written_out(url: str, *, of: str, where: str) -> ConfigError:
    """What to raise if a password or token itself stands in ``url``, which is that of ``of``, in environment.yml."""
    parts = urlsplit(url)
    return ConfigError(
        f"a password or token stands in the URL of {of} on {parts.scheme}://{parts.hostname}, and would so be in the "
        "lockfile",
        where=where,
        remedy="Write the name of an environment variable in its place: https://${USER_NAME}:${PASSWORD}@…",
    )


def variables_of(url: str, *, where: str) -> dict[str, str]:
    """The environment variables that ``url`` names, with their values. Raises :class:`ConfigError` if one is not set.

    Lockfile and bundle.toml have the name alone.
    """
    names = dict.fromkeys(VARIABLE.findall(url))
    if missing := [name for name in names if name not in os.environ]:
        raise ConfigError(
            f"{without_credentials(url)} needs the environment variable {missing[0]}, which is not set",
            where=where,
            remedy=f"Set {missing[0]} where conda-bundler runs: no file has its value.",
        )
    return {name: os.environ[name] for name in names}


def with_variables(url: str, *, where: str, quoted: bool = False) -> str:
    """``url`` with the values of its variables, percent-encoded if ``quoted``.

    Raises :class:`ConfigError` if one is not set.
    """
    values = variables_of(url, where=where)
    return VARIABLE.sub(lambda found: quote(values[found[1]], safe="") if quoted else values[found[1]], url)

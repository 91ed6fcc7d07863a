"""What in a URL is secret: a user's password, a user alone, a token in the path, the values of a query.

The name of an environment variable may stand in the place of each but the last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["VARIABLE", "braced", "has_secret", "is_http_url", "public_url", "written_out"]

VARIABLE = re.compile(r"\$\{?(\w+)\}?", re.ASCII)
"""An environment variable in a channel's URL, as conda-lock keeps credentials out of the lockfile."""

_NAMES = re.compile(rf"(?:{VARIABLE.pattern})+", re.ASCII)
_HTTP = re.compile(r"https?://([^/?#]*)([^?#]*)\??([^#]*)", re.IGNORECASE)
_USER = re.compile(r"(?<=//)[^/?#]*@")
_TOKEN = re.compile(r"/t/([^/?#]+)(?=[/?#]|$)")
_QUERY = re.compile(r"\?[^#]*")


def public_url(url: str) -> str:
    """``url`` without user, password, token and query, be they written out or variables."""
    return _QUERY.sub("", _TOKEN.sub("", _USER.sub("", url))) if _HTTP.match(url) else url


def is_http_url(text: str) -> bool:
    """Whether ``text`` is a URL of a server, in which variables may stand."""
    if not re.match(r"https?://[^/?#]", text):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:  # of an address in brackets
        return False


def has_secret(url: str) -> bool:
    """Whether a secret itself stands in ``url``, and not the name of a variable."""
    return any(secret and not _NAMES.fullmatch(secret) for secret in _secrets(url))


def _secrets(url: str) -> Iterator[str]:
    found = _HTTP.match(url)
    if found is None:
        return
    authority, path, query = found.groups()
    user, _, password = authority.rpartition("@")[0].partition(":")
    yield password or user  # a user alone is a token
    yield from _TOKEN.findall(path)
    yield "?" * bool(query)  # which of its values are secret nobody can know


def braced(url: str) -> str:
    """``url`` with its variables written in one way: ``${NAME}``."""
    return VARIABLE.sub(r"${\1}", url)


def written_out(url: str, *, of: str, where: str) -> ConfigError:
    """What to raise if a secret itself stands in ``url``, which is that of ``of``, in environment.yml."""
    scheme, _, rest = public_url(url).partition("://")
    host = re.split(r"[/:?#]", rest)[0]
    if "?" in url:
        return ConfigError(
            f"the URL of {of} on {scheme}://{host} has a query string, which may contain secrets and would be stored "
            "in the lockfile",
            where=where,
            remedy="Remove the query string. Put a token before the host as an environment variable: https://${TOKEN}@…",
        )
    return ConfigError(
        f"the URL of {of} on {scheme}://{host} contains a password or token, which would be stored in the lockfile",
        where=where,
        remedy="Use environment variables instead: https://${USER_NAME}:${PASSWORD}@…, https://${TOKEN}@…",
    )

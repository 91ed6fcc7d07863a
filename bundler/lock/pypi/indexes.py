"""Package indexes: their URLs in environment.yml, for uv, and in the lockfile.

uv stores URLs in its cache without user and password, and they are never on its command line. The lockfile has the name
of a variable instead of a credential.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from bundler.fetch.channels import server_of, with_variables
from bundler.fetch.credentials import Credentials, own_request

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Source", "find_source", "secrets_of", "written_url"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """An index, or a page of links.

    ``given`` is the URL as the user wrote it, ``own`` includes credentials, ``public`` has no user and no password.
    """

    given: str
    own: str
    public: str


def find_source(given: str) -> Source:
    """The index or page at ``given``. Raises :class:`ConfigError` for a variable that is not set."""
    filled = with_variables(given, where="pip-repositories", quoted=True).rstrip("/").replace(",", "%2C")
    public = own_request(filled).url
    if public != filled or not re.match(r"https?:", filled):
        return Source(given=given, own=filled, public=public)
    stored = Credentials({server_of(filled)}).request(filled).authorization or ""
    user, _, password = base64.b64decode(stored.removeprefix("Basic ")).decode().partition(":")
    if not stored.startswith("Basic "):
        return Source(given=given, own=filled, public=public)
    parts = urlsplit(filled)
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"
    return Source(given=given, own=parts._replace(netloc=netloc).geturl(), public=public)


def written_url(url: str, sources: Iterable[Source]) -> str:
    """A wheel's URL for the lockfile, with the names of variables where one of ``sources`` has them.

    The first source on the same server is used.
    """
    parts = urlsplit(url)._replace(fragment="")
    netloc = parts.netloc.rpartition("@")[2]
    for source in sources:
        named, known = urlsplit(source.given), urlsplit(source.public)
        if netloc == known.netloc:
            values = dict(zip(known.path.split("/"), named.path.split("/"), strict=False))
            path = "/".join(values.get(part, part) for part in parts.path.split("/"))
            return parts._replace(netloc=named.netloc, path=path).geturl()
    return parts._replace(netloc=netloc).geturl()


def secrets_of(sources: Iterable[Source]) -> tuple[str, ...]:
    """The parts of URLs that must not be shown: the values of variables in paths."""
    found = []
    for source in sources:
        named, known = urlsplit(source.given).path.split("/"), urlsplit(source.public).path.split("/")
        found += [value for name, value in zip(named, known, strict=False) if name != value]
        found += [unquote(value) for value in found]
    return tuple(dict.fromkeys(found))

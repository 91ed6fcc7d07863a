"""What conda, mamba and micromamba print when a channel does not answer, as a sentence.

conda answers in JSON whose message begins with `HTTP 000 CONNECTION FAILED for url <…>`; the mambas print curl's error
with its number and the URL in brackets, in no JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.errors import without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["explain_unreachable"]

_HTTP = re.compile(r"HTTP (\d{3}) ([A-Z][A-Z -]*?) for (?:url|channel)[^<\n]*<([^>\s]+)>")
_CURL = re.compile(r"Download error \((\d+)\) ([^\[\n]*?)\s*\[([^\]\s]+)\]")
_STATUS = re.compile(r"status:? (\d{3})\s*\[([^\]\s]+)\]", re.IGNORECASE)
_POOL = re.compile(r"HTTPS?ConnectionPool\(host=\\*'([^'\\]+)\\*', port=(\d+)\): (Max retries exceeded|Read timed out)")
_OFFLINE = re.compile(r"EnforceUnusedAdapter called with url (\S+?)[\s\\\"]")
_RESOLVE = re.compile(r"Could(?: not|n't) resolve host(?: name)?:? ([\w.-]+)")
_CAUSES = (
    ("NameResolutionError", "unknown host name"),
    ("Name or service not known", "unknown host name"),
    ("Temporary failure in name resolution", "unknown host name"),
    ("SSLError", "its certificate is not trusted"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
    ("ProxyError", "the proxy denies access"),
    ("ConnectTimeout", "it does not answer"),
    ("ReadTimeout", "it does not answer"),
    ("Connection refused", "connection refused"),
)


def explain_unreachable(text: str, solver: str) -> str | None:
    """A sentence if ``text``, all that conda-lock printed of a failure of ``solver``, is about a channel that does not
    answer as one; else None.
    """
    found = next(_found(text), None)
    if found is None:
        return None
    channel, reason = found
    return f"{solver} received nothing from {_shown(channel)}: {reason}"


def _found(text: str) -> Iterator[tuple[str, str]]:
    """URLs or hosts, and what is wrong with them."""
    for number, phrase, url in _HTTP.findall(text):
        yield url, _cause(text) or "it cannot be reached" if number == "000" else _status(number, phrase.title())
    for number, phrase, url in _CURL.findall(text):
        yield url, f"{phrase.strip() or 'it cannot be reached'} (curl's error {number})"
    for number, url in _STATUS.findall(text):
        if int(number) >= 400:
            yield url, _status(number, "")
    for host, port, phrase in _POOL.findall(text):
        yield f"{host}:{port}", _cause(text) or phrase.lower()
    for url in _OFFLINE.findall(text):
        yield url, "not in the cache, and offline mode prevents downloads"
    for host in _RESOLVE.findall(text):
        yield host, "unknown host name"


def _cause(text: str) -> str | None:
    return next((told for name, told in _CAUSES if name in text), None)


def _status(number: str, phrase: str) -> str:
    if number in ("401", "403", "407"):
        return f"access denied ({number} {phrase})".replace(" )", ")")
    if number == "404":
        return "no such channel (404)"
    return f"the server responded with {number} {phrase}".rstrip()


def _shown(url: str) -> str:
    """A URL without what conda adds to the channel's, and without credentials."""
    channel = re.sub(r"/(?:[\w-]+/)?(?:current_)?repodata[\w.]*$", "", url)
    return without_credentials(channel)

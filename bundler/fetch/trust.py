"""Whose certificates are trusted, and through which proxy it goes: what the environment says, for all who download.

OpenSSL, rattler and uv read ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``; requests, curl, pip, conda and others have
variables of their own, which companies set as well. The first of those that names a file or a directory stands for
``SSL_CERT_FILE`` where that is not set. What would turn the check off turns nothing off, and is named.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["adopt_certificates", "certificate_hint", "proxy_hint"]

_OWN = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHERS = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "CONDA_SSL_VERIFY",
    "MAMBA_SSL_VERIFY",
    "NIX_SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
)
"""All but the last name everything that is trusted; Node's adds to its own."""
_SWITCHES = frozenset({"", "0", "1", "false", "no", "off", "on", "system", "true", "truststore", "yes", "<system>"})
"""Values of conda's and others' variables that are no path."""
_ADOPTED: dict[str, str] = {}
"""Which variable of ours was taken from which other one."""


def adopt_certificates() -> None:
    """Set ``SSL_CERT_FILE`` (or ``SSL_CERT_DIR``) from what the others' variables name, for all children."""
    if any(os.environ.get(name) for name in _OWN):
        return
    for name in _OTHERS[:-1]:
        value = os.environ.get(name, "")
        if value.lower() not in _SWITCHES:
            own = "SSL_CERT_DIR" if Path(value).is_dir() else "SSL_CERT_FILE"
            os.environ[own] = value
            _ADOPTED[own] = name
            return


def certificate_hint() -> str:
    """Which certificates are trusted, and how to say otherwise: for the sentence on one that is not."""
    named = [(own, os.environ[own]) for own in _OWN if os.environ.get(own)]
    told = [_told(_ADOPTED.get(own, own), value) for own, value in named]
    ignored = [name for name in _OTHERS if os.environ.get(name) and name not in _ADOPTED.values()]
    unused = f"; {' and '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} ignored" if ignored else ""
    if not told:
        return (
            "this system's certificate authorities are trusted; set SSL_CERT_FILE or REQUESTS_CA_BUNDLE to trust others"
            f"{unused}"
        )
    return f"the certificate authorities of {' and '.join(told)} are trusted{unused}"


def _told(name: str, value: str) -> str:
    path = Path(value)
    if not path.exists():
        return f"{name}={value}, which does not exist,"
    if not os.access(path, os.R_OK):
        return f"{name}={value}, which cannot be read,"
    return f"{name}={value}"


def proxy_hint(scheme: str) -> str:
    """Which variable the proxy for URLs of ``scheme`` is from; empty if it is from none."""
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((f"set by {name}" for name in names if os.environ.get(name)), "")

"""``services.<unit>.health``: how a service is asked whether it is well."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bundler.config.fields import Line, Model, Word

__all__ = ["Health"]

_VARIABLE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
_HOST = rf"(?:(?:[0-9A-Za-z.-]|\{{instance\}})+|\[[0-9A-Fa-f:]+\]|{_VARIABLE})"
_PORT = rf"(?:[0-9]{{1,5}}|{_VARIABLE}|(?:[0-9]{{0,4}}|{_VARIABLE})\{{instance\}}[0-9]{{0,4}})"
_SOCKET = r"unix:(?:\{runtime\})?/[A-Za-z0-9._/@+-]+"
_HTTP = re.compile(rf"http://{_HOST}(?::{_PORT})?(?:/[!-~]*)?|{_SOCKET}(?::/[!-~]*)?")
_TCP = re.compile(rf"{_HOST}:{_PORT}|{_SOCKET}")


def _http_url(value: str) -> str:
    if not _HTTP.fullmatch(value):
        raise ValueError(
            "not a health check URL; write it like http://127.0.0.1:${PORT}/healthz or unix:{runtime}/web.sock:/healthz"
        )
    return value


def _tcp_address(value: str) -> str:
    if not _TCP.fullmatch(value):
        raise ValueError("not an address to connect to; write it like 127.0.0.1:${PORT} or unix:{runtime}/web.sock")
    return value


_Status = Annotated[int, Field(ge=100, le=599)]


class Health(Model):
    """How a service is asked whether it is well: by one of ``http``, ``tcp``, ``command`` and ``notify``."""

    http: Annotated[Line, AfterValidator(_http_url)] | None = None
    """A GET that answers 2xx or 3xx, or one of ``status``, with ``body`` somewhere in what it says: of a URL, or of
    ``unix:PATH:/URL-PATH``."""
    status: _Status | Annotated[tuple[_Status, ...], Field(min_length=1)] | None = None
    """The HTTP status that is healthy, or several; any 2xx or 3xx unless said."""
    body: Annotated[Line, StringConstraints(min_length=1)] | None = None
    """Text that has to be somewhere in the answer to ``http``."""
    tcp: Annotated[Line, AfterValidator(_tcp_address)] | None = None
    """``HOST:PORT``, or ``unix:PATH``, that takes a connection."""
    command: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    """argv that exits with 0, as the service's user, in its environment."""
    notify: Literal[True] | None = None
    """The service tells systemd itself: READY=1, and, with ``watchdog``, that it is alive."""
    start_period: Annotated[float, Field(ge=0, le=3600)] = 5
    """Seconds in which a failing probe does not count yet."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30
    """Seconds after ``start_period`` within which the service must be well."""
    probe_timeout: Annotated[int, Field(ge=1, le=300)] = 5
    """Seconds that one question may take."""
    interval: Annotated[int, Field(ge=5, le=86400)] = 30
    """Seconds between two questions while the service runs."""
    failures: Annotated[int, Field(ge=0, le=1000)] = 3
    """Bad answers in a row after which the service is restarted; 0: never."""
    restarts_per_hour: Annotated[int, Field(ge=1, le=60)] = 4
    """What the health timer may spend before it leaves the service alone."""

    @model_validator(mode="after")
    def _one_kind(self) -> Health:
        kinds = [kind for kind in ("http", "tcp", "command", "notify") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"needs exactly one of http, tcp, command and notify; it has {' and '.join(kinds) or 'none'}"
            )
        if self.http is None and (self.status is not None or self.body is not None):
            raise ValueError("status and body apply only to http")
        return self

    @property
    def asked(self) -> bool:
        """Whether there is something to ask, and not only to wait for."""
        return self.notify is None

    @property
    def watched(self) -> bool:
        return self.asked and self.failures > 0

    @property
    def statuses(self) -> tuple[int, ...]:
        """The good ones; empty: 2xx and 3xx."""
        if self.status is None:
            return ()
        return (self.status,) if isinstance(self.status, int) else self.status

    @property
    def url(self) -> str:
        """Where the question goes, nothing filled in; empty if it goes to no port and no socket."""
        tcp = self.tcp or ""
        return tcp if tcp.startswith("unix:") else f"tcp://{tcp}" if tcp else self.http or ""

    @property
    def host(self) -> str:
        """Who is asked, as ``url`` has it: a name, an address (of IPv6 in brackets) or a variable; empty for nobody."""
        found = re.match(rf"[a-z]+://({_HOST})", self.url)
        return found[1] if found else ""

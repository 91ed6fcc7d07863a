"""``services.<unit>.health``: a service's health check."""

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
    """A service's health check, of one of the kinds ``http``, ``tcp``, ``command`` and ``notify``."""

    http: Annotated[Line, AfterValidator(_http_url)] | None = None
    """A URL, or ``unix:PATH:/URL-PATH``. The response to GET must have a status of 2xx or 3xx, or one in ``status``,
    and contain ``body``."""
    status: _Status | Annotated[tuple[_Status, ...], Field(min_length=1)] | None = None
    """The HTTP status of a healthy response, or several; default: any 2xx or 3xx."""
    body: Annotated[Line, StringConstraints(min_length=1)] | None = None
    """Text that the response to ``http`` must contain."""
    tcp: Annotated[Line, AfterValidator(_tcp_address)] | None = None
    """``HOST:PORT`` or ``unix:PATH``, which must accept a connection."""
    command: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    """A command, as a list, that must exit with 0; it runs as the service's user, in its environment."""
    notify: Literal[True] | None = None
    """The service notifies systemd itself: READY=1 and, with ``watchdog``, WATCHDOG=1."""
    start_period: Annotated[float, Field(ge=0, le=3600)] = 5
    """Seconds after the start during which failures do not count."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30
    """Seconds after ``start_period`` within which the service must be healthy."""
    probe_timeout: Annotated[int, Field(ge=1, le=300)] = 5
    """The timeout of one check in seconds."""
    interval: Annotated[int, Field(ge=5, le=86400)] = 30
    """Seconds between checks while the service runs."""
    failures: Annotated[int, Field(ge=0, le=1000)] = 3
    """The number of consecutive failures after which the service is restarted; 0: never."""
    restarts_per_hour: Annotated[int, Field(ge=1, le=60)] = 4
    """The maximum number of restarts per hour by the health check."""

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
        """Whether there is an active check, in addition to systemd's notification."""
        return self.notify is None

    @property
    def watched(self) -> bool:
        return self.asked and self.failures > 0

    @property
    def statuses(self) -> tuple[int, ...]:
        """The healthy statuses; empty: 2xx and 3xx."""
        if self.status is None:
            return ()
        return (self.status,) if isinstance(self.status, int) else self.status

    @property
    def url(self) -> str:
        """The address to check, with variables unexpanded; empty if there is no port or socket."""
        tcp = self.tcp or ""
        return tcp if tcp.startswith("unix:") else f"tcp://{tcp}" if tcp else self.http or ""

    @property
    def host(self) -> str:
        """The host in ``url``: a name, an address (IPv6 in brackets) or a variable; empty if there is none."""
        found = re.match(rf"[a-z]+://({_HOST})", self.url)
        return found[1] if found else ""

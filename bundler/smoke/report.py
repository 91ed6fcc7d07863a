"""The report of a smoke test, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Health", "HttpAnswer", "Install", "ServiceReport", "SmokeReport"]

_INSTALL_LINES = 60


@dataclass(frozen=True, kw_only=True)
class Install:
    """How install.sh ended; ``status`` is 124 if it timed out. Secrets are masked in ``output``."""

    status: int
    seconds: float
    output: str


@dataclass(frozen=True, kw_only=True)
class Health:
    """The last result of the service's own health unit: 0 is healthy."""

    unit: str
    status: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """One GET of the health URL. ``status`` 0: no answer, ``body`` says why."""

    url: str
    status: int
    body: str


@dataclass(frozen=True, kw_only=True)
class ServiceReport:
    """One service after the installation, in systemd's words (systemctl show)."""

    unit: str
    load_state: str
    active_state: str
    sub_state: str
    kind: str
    result: str
    main_pid: int
    restarts: int
    timer: str = ""
    """For a job: the unit that starts it, and its state."""
    user: str = ""
    executable: str = ""
    health: Health | None = None
    http: HttpAnswer | None = None
    exposure: str = ""
    journal: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Running since its first start (or a oneshot that succeeded, with its timer), and passing its health check."""
        return all(passed for _, passed in self.tests())

    def tests(self) -> tuple[tuple[str, bool], ...]:
        """The checks, by unit, and whether they passed."""
        ran = self.kind == "oneshot" and self.active_state == "inactive" and self.result == "success"
        ran = ran and (not self.timer or self.timer.endswith(" active"))
        fine = self.load_state == "loaded" and (self.active_state == "active" or ran) and self.restarts == 0
        return ((self.unit, fine), *([(self.health.unit, self.health.status == 0)] if self.health else []))

    def lines(self) -> tuple[str, ...]:
        """For people."""
        state = f"{self.active_state} ({self.sub_state})"
        if self.load_state != "loaded":
            state = f"not installed ({self.load_state})"
        elif self.result != "success":
            state += f", {self.result}"
        rows = [("state", f"{state}, {self.restarts} restarts")]
        if self.timer:
            rows.append(("timer", self.timer))
        if self.main_pid:
            rows.append(("process", f"{self.main_pid}, user {self.user}, {self.executable}"))
        if self.health:
            verdict = "good" if self.health.status == 0 else f"exited with {self.health.status}"
            rows.append(("health", f"{verdict} after {self.health.seconds:.1f} s ({self.health.unit})"))
        if self.http:
            rows.append(("http", f"{self.http.status or 'none'} from {self.http.url}: {self.http.body!r}"))
        if self.exposure:
            rows.append(("exposure", self.exposure))
        body = (f"  {label:<9} {text}" for label, text in rows)
        return (f"{self.unit}: {_verdict(self.healthy)}", *body, *(f"  | {line}" for line in self.journal))


@dataclass(frozen=True, kw_only=True)
class SmokeReport:
    """What happened on the machine."""

    bundle: str
    name: str
    release: str
    system: str
    systemd: int
    boot_seconds: float
    install: Install
    services: tuple[ServiceReport, ...]
    os: str = ""
    """The system's name for itself; ``kernel`` is its kernel's release."""
    kernel: str = ""
    suite: str = ""
    """The Debian release, unless another system was requested."""
    include: tuple[str, ...] = ()
    attested: tuple[str, ...] = ()
    """The files of the statement on it, if one was written."""
    open_because: str = ""
    """Why root on the machine is also root on the host; empty if it is not."""

    @property
    def healthy(self) -> bool:
        """Installed, and every service is healthy."""
        return all(passed for _, passed in self.tests())

    def tests(self) -> tuple[tuple[str, bool], ...]:
        """All checks, and whether they passed."""
        services = (test for service in self.services for test in service.tests())
        return ("install.sh", self.install.status == 0), *services

    def lines(self) -> tuple[str, ...]:
        """For people; install.sh's output only if it failed."""
        said = self.install.output.splitlines()[-_INSTALL_LINES:] if self.install.status != 0 else []
        return (
            f"{self.name} {self.release} on {self.system}, systemd {self.systemd}: {_verdict(self.healthy)}",
            f"  booted in {self.boot_seconds:.1f} s",
            *((self.warning(),) if self.open_because else ()),
            f"  install.sh exited with {self.install.status} after {self.install.seconds:.1f} s",
            *(f"  | {line}" for line in said),
            *(line for service in self.services for line in service.lines()),
            *(f"wrote {path}" for path in self.attested),
        )

    def warning(self) -> str:
        """A warning if the machine is not isolated by a user namespace."""
        return (
            f"  not isolated: {self.open_because}, so root on the machine is root on this host; smoke only bundles "
            "that you trust"
        )

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        services = [asdict(service) | {"healthy": service.healthy} for service in self.services]
        return asdict(self) | {"healthy": self.healthy, "services": services}


def _verdict(healthy: bool) -> str:
    return "healthy" if healthy else "UNHEALTHY"

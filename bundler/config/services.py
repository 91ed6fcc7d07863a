"""``[services.*]`` of bundle.toml: the settings of a unit, and which of them are mutually exclusive."""

from __future__ import annotations

import math
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bundler.config.fields import Line, Model, Name, Value, Variable, Word
from bundler.config.health import Health
from bundler.config.hooks import Argv, Commands
from bundler.config.networks import Network, allows, literal_address
from bundler.config.sockets import check_socket
from bundler.config.uids import Uid
from bundler.config.unitoverrides import UnitOverrides
from bundler.systemd.calendar import check_calendar, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.sockets import SocketAddress

__all__ = ["Schedule", "Service", "ServiceTable"]

_KILL = re.compile(r"(?:/(?:usr/)?bin/)?kill +-(?:s +)?(?:SIG)?([A-Z][A-Z0-9]+)\b.*")
_DIRECTORY = re.compile(r"(?:/|\{[a-z]+\}(?:/|$))[A-Za-z0-9._/+@{}-]*")


def _directory(value: str) -> str:
    if not _DIRECTORY.fullmatch(value) or ".." in value.split("/"):
        raise ValueError("not a valid directory; write /srv/data or {state}/notebooks, without '..' or spaces")
    return value


def _span(value: str) -> str:
    seconds_of(value)
    return value


def _signal(value: str) -> str:
    if value not in signal.Signals.__members__:
        raise ValueError(f"unknown signal {value!r}; write it like SIGINT")
    return value


def _reload(value: str) -> str:
    if sent := _KILL.fullmatch(value):
        raise ValueError(f'{value!r} is a command line; write the signal: reload = "SIG{sent[1]}"')
    if value not in signal.Signals.__members__:
        raise ValueError(f'{value!r} is not a signal; write one like "SIGHUP", or a command as a list: ["argv", "..."]')
    if value in ("SIGKILL", "SIGSTOP"):
        raise ValueError(f"{value} cannot be handled by a program; use the signal that it reloads on, such as SIGHUP")
    return value


_Span = Annotated[Line, AfterValidator(_span)]
_Tasks = Annotated[int, Field(ge=1)] | Annotated[str, StringConstraints(pattern=r"^([0-9]+%|infinity)$")]
_Size = Annotated[str, StringConstraints(pattern=r"^([0-9]+[KMGT]?|[0-9]+%|infinity)$")]


class Schedule(Model):
    """When a job runs: OnCalendar= and related settings (systemd.timer(5))."""

    on_calendar: Line | Annotated[tuple[Line, ...], Field(min_length=1)]
    """A calendar event such as ``daily`` or ``Mon..Fri 03:30`` (systemd.time(7)), or several."""
    persistent: bool = True
    """Whether a run that was missed while the machine was off is made up for at boot."""
    randomized_delay: _Span = "0"
    """The maximum random delay of a run, such as ``15min``."""

    @model_validator(mode="after")
    def _events(self) -> Schedule:
        for event in self.events:
            check_calendar(event)
        return self

    @property
    def events(self) -> tuple[str, ...]:
        return (self.on_calendar,) if isinstance(self.on_calendar, str) else self.on_calendar


class ServiceTable(Model):
    """The table of a service."""

    command: Annotated[tuple[Word, ...], Field(min_length=1)]
    """The command, as a list of words. The program is looked up in the environment's ``bin/``, then below ``app/``;
    ``${PORT}`` is an environment variable of the service."""
    before_start: Commands = ()
    """A command, or several, to run before each start with the service's user, environment and sandbox; the service
    starts only if all exit with 0."""
    environment: dict[Variable, Value] = Field(default_factory=dict)
    """Environment variables. Here and in ``command``, ``{app} {env} {root} {state} {cache} {runtime}`` are absolute
    paths; ``{{app}}`` is a literal ``{app}``."""
    secrets: tuple[Variable, ...] | None = None
    """The secrets that the service gets; default: all."""
    own_user: bool = False
    """Whether the service runs as its own user, ``<bundle>-<service>``, with its own ``{state}`` and ``{cache}``, which
    the other services cannot read; otherwise it runs as the bundle's user, which services share."""
    uid: Uid | None = None
    """The uid and gid of its own user; default: the next free ones."""
    working_directory: Annotated[Word, AfterValidator(_directory)] = "{state}"
    """The working directory; it is created if it is below ``{state}``, ``{cache}`` or ``{runtime}``."""
    profile: Literal["python", "beam", "generic"] = "python"
    """The kind of program, which determines its sandbox."""
    type: Literal["exec", "notify"] | None = None
    """``notify``: the service notifies systemd when it is ready. Default: ``notify`` if ``health.notify`` is set, else
    ``exec``."""
    watchdog: Annotated[int, Field(ge=1, le=3600)] | None = None
    """The interval in seconds within which a service of type ``notify`` has to send WATCHDOG=1 (``WatchdogSec=``)."""
    restart: Literal["no", "on-success", "on-failure", "on-abnormal", "on-abort", "always"] = "on-failure"
    """When systemd restarts it (``Restart=``)."""
    restart_delay: Annotated[int, Field(ge=1, le=3600)] = 5
    """Seconds before a restart (``RestartSec=``)."""
    start_limit: Annotated[int, Field(ge=1, le=1000)] = 5
    """The number of failed starts in a row after which systemd stops restarting it (``StartLimitBurst=``)."""
    retry: bool = True
    """Whether it is restarted even after ``start_limit``, with delays that increase to five minutes."""
    network_online: bool | None = None
    """Whether to start it only when the network is up; default: if its settings contain an address on a network."""
    stop_timeout: Annotated[int, Field(ge=1, le=86400)] | None = None
    """Seconds to wait for it to stop before it is killed; systemd's default is 90."""
    kill_signal: Annotated[str, AfterValidator(_signal)] | None = None
    """The signal that stops its main process; default: SIGTERM."""
    memory_max: _Size | None = None
    """The maximum memory, such as ``8G`` or ``50%`` (``MemoryMax=``)."""
    cpu_quota: Annotated[str, StringConstraints(pattern=r"^[0-9]+%$")] | None = None
    """The maximum CPU time relative to one CPU, such as ``80%`` (``CPUQuota=``)."""
    tasks_max: _Tasks | None = None
    """The maximum number of processes and threads (``TasksMax=``)."""
    nofile: Annotated[int, Field(ge=16)] | None = None
    """The maximum number of open files (``LimitNOFILE=``)."""
    network: Network | None = None
    """The addresses with which it may communicate: ``none``, ``loopback``, or ranges such as ``10.0.0.0/8``, in
    addition to loopback; default: all."""
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
    """The ports that it listens on; for ports below 1024 it gets the required capability."""
    socket: Annotated[Line, AfterValidator(check_socket)] | None = None
    """The address on which systemd listens for it, also while it restarts: ``127.0.0.1:8000``, ``8000`` or a path. The
    service gets the socket as file descriptor 3 (LISTEN_FDS)."""
    socket_mode: Annotated[str, StringConstraints(pattern=r"^0?[0-7]{3}$")] | None = None
    """The mode of a Unix socket; default: 0660."""
    socket_group: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")] | None = None
    """The group of a Unix socket, such as www-data for nginx; default: the service's own group."""
    short_lived_workers: bool = False
    """Whether its workers are short-lived by design, as with ``--max-tasks-per-child 1``; install.sh then does not
    check whether they keep exiting."""
    gpu: bool = False
    """Whether it uses NVIDIA GPUs; their device files are created before it starts."""
    after: tuple[Name, ...] = ()
    """Services of this bundle after which it is started."""
    wants: tuple[Name, ...] = ()
    """Services of this bundle that are started with it, before it."""
    requires: tuple[Name, ...] = ()
    """Services of this bundle without which it must not run; they are started before it."""
    schedule: Schedule | None = None
    """When it runs, for a job with a timer instead of a service."""
    hardening: Literal["on", "off"] = "on"
    """``off`` disables the sandbox."""
    health: Health | None = None
    """The health check."""
    reload: Annotated[str, AfterValidator(_reload)] | Argv | None = None
    """How to make it reload its settings while it runs: a signal to its main process, or a command."""
    instances: Annotated[int, Field(ge=1, le=64)] | None = None
    """The number of instances, which are numbered from 1; ``{instance}`` and the variable INSTANCE are the number."""
    unit: UnitOverrides = UnitOverrides()
    """systemd directives, as in a drop-in."""

    @property
    def ordered_after(self) -> tuple[str, ...]:
        """The services after which it starts, including those that it wants or requires, which have to be up to be
        useful.
        """
        return tuple(dict.fromkeys((*self.after, *self.wants, *self.requires)))

    @property
    def start_interval(self) -> int:
        """The interval for ``start_limit``: twice the time that so many starts take.

        Half of it would suffice for a service that fails immediately; but one that fails only after loading its model
        has to be caught, too.
        """
        loading = self.health.start_period if self.health else 5
        return max(120, math.ceil(2 * self.start_limit * (self.restart_delay + loading)))


@dataclass(frozen=True, kw_only=True)
class Service:
    """A ``[services.<name>]`` table and the names of its units."""

    name: str
    table: ServiceTable
    socket: SocketAddress | None = None
    """The resolved ``table.socket``."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its instances; none if it runs once, under its own name."""
        return tuple(range(1, (self.table.instances or 0) + 1))

    @property
    def unit(self) -> str:
        """The file of its unit; for instances a template, ``x@.service`` (systemd.unit(5))."""
        return self._unit("", "service")

    @property
    def target(self) -> str | None:
        """The target that starts and stops all instances."""
        return f"{self.name}.target" if self.numbers else None

    @property
    def whole(self) -> str:
        """The unit by which other units refer to the whole service."""
        return self.target or self.unit

    def _unit(self, part: str, kind: str) -> str:
        return f"{self.name}{part}{'@' if self.numbers else ''}.{kind}"

    @property
    def timer(self) -> str | None:
        """The timer that starts it, if it is a job."""
        return f"{self.name}.timer" if self.table.schedule else None

    @property
    def socket_unit(self) -> str | None:
        """The socket unit that listens for it."""
        return f"{self.name}.socket" if self.table.socket else None

    @property
    def low_ports(self) -> tuple[int, ...]:
        """The privileged ports that it binds itself."""
        opened = self.socket.port if self.socket else 0
        return tuple(sorted(port for port in self.table.ports if port < 1024 and port != opened))

    @property
    def kind(self) -> str:
        """``Type=``."""
        if self.table.schedule:
            return "oneshot"
        tells = self.table.health is not None and self.table.health.notify
        return self.table.type or ("notify" if tells else "exec")

    @property
    def health_url(self) -> str:
        """The address of its health check, with ``${PORT}`` unexpanded; empty if it has no port or socket."""
        health = self.table.health
        return health.url.replace("{runtime}", f"/run/{self.name}", 1) if health else ""

    @property
    def health_unit(self) -> str | None:
        """The oneshot that checks the service once, if it has an active health check."""
        return self._unit("-health", "service") if self.table.health and self.table.health.asked else None

    @property
    def health_timer(self) -> str | None:
        """The timer that has the service checked while it runs."""
        return self._unit("-health", "timer") if self.table.health and self.table.health.watched else None

    @property
    def gpu_unit(self) -> str | None:
        """The oneshot that creates the GPU's device files before it starts."""
        return f"{self.name}-gpu.service" if self.table.gpu else None

    @property
    def retried(self) -> bool:
        """Whether it is restarted after systemd has stopped restarting it."""
        return not self.table.schedule and self.table.retry and self.table.restart in ("always", "on-failure")

    @property
    def watch_timer(self) -> str | None:
        """The timer that starts ``watch_unit``, and runs until somebody stops the service."""
        return self.health_timer or (self._unit("-watch", "timer") if self.retried else None)

    @property
    def watch_unit(self) -> str | None:
        """The oneshot that counts failed checks and restarts the service."""
        return self._unit("-watch", "service") if self.watch_timer else None

    @property
    def units(self) -> tuple[str, ...]:
        """All of them."""
        health = (self.health_unit, self.watch_timer, self.watch_unit)
        return tuple(filter(None, (self.unit, self.socket_unit, self.target, self.timer, *health, self.gpu_unit)))

    def problems(self) -> Iterator[str]:
        """Problems that involve several keys: settings that are mutually exclusive."""
        where, table = f"services.{self.name}", self.table
        if table.schedule:
            excluded = {
                "type",
                "watchdog",
                "restart",
                "restart_delay",
                "start_limit",
                "retry",
                "health",
                "socket",
                "reload",
                "instances",
                "short_lived_workers",
            } & table.model_fields_set
            yield from (f"{where}.{key}: not allowed for a job with a schedule" for key in sorted(excluded))
        elif table.unit.Timer:
            yield f"{where}.unit.Timer: requires a schedule: without one there is no timer"
        if table.unit.Socket and not table.socket:
            yield f"{where}.unit.Socket: requires {where}.socket"
        if table.schedule and table.unit.Install:
            yield f"{where}.unit.Install: not allowed for a job: its timer is enabled instead"
        if not table.schedule and self.kind != "notify":
            if table.health and table.health.notify:
                yield f'{where}.health.notify: requires type = "notify"'
            if table.watchdog:
                yield f'{where}.watchdog: requires type = "notify"'
        if not table.socket or "/" not in table.socket:
            own = [key for key in ("socket_mode", "socket_group") if getattr(table, key)]
            yield from (f"{where}.{key}: applies only to a Unix socket, such as {{runtime}}/web.sock" for key in own)
        if table.socket is not None and table.instances:
            yield f"{where}.socket: socket and instances are mutually exclusive"
        yield from self._limit_problems(where)
        yield from self._network_problems(where)

    def _network_problems(self, where: str) -> Iterator[str]:
        """Addresses that ``network`` makes unreachable."""
        network, health = self.table.network, self.table.health
        if network == "none" and self.socket and not self.socket.path:
            yield (
                f'{where}.network: "none" prevents connections to {self.socket.listen}; use "loopback", or a Unix '
                "socket"
            )
        if network is None or health is None or not health.host:
            return
        if network == "none":
            yield (
                f'{where}.network: "none" prevents the health check of {health.url}; use "loopback", or health.command'
            )
            return
        address = literal_address(health.host)
        if address and not allows(() if network == "loopback" else network, address):
            yield (
                f"{where}.network: it does not include {address}, the health check's address; add it, or check "
                "127.0.0.1"
            )

    def _limit_problems(self, where: str) -> Iterator[str]:
        """A start limit that can never be reached because of an override."""
        unit, table = self.table.unit, self.table
        changed = {"StartLimitIntervalSec", "StartLimitBurst"} & unit.Unit.keys() or "RestartSec" in unit.Service
        if not changed or self.kind == "oneshot":
            return
        try:
            interval = seconds_of(unit.last("Unit", "StartLimitIntervalSec", str(table.start_interval)))
            burst = int(unit.last("Unit", "StartLimitBurst", str(table.start_limit)))
            delay = seconds_of(unit.last("Service", "RestartSec", str(table.restart_delay)))
        except ValueError:
            return  # reported for the directive itself
        if 0 < interval <= burst * delay:  # 0 disables the limit on purpose
            yield (
                f"{where}.unit: the start limit can never be reached: {burst} starts {delay:g} s apart take longer "
                f"than StartLimitIntervalSec={interval:g}"
            )

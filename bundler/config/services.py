"""``[services.*]`` of bundle.toml: what one unit of the bundle is to be, and which settings exclude each other."""

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
    """When a job runs: OnCalendar= and its like (systemd.timer(5))."""

    on_calendar: Line | Annotated[tuple[Line, ...], Field(min_length=1)]
    """A calendar event such as ``daily`` or ``Mon..Fri 03:30`` (systemd.time(7)), or several."""
    persistent: bool = True
    """A run that was missed while the machine was off is made up for."""
    randomized_delay: _Span = "0"
    """The longest time that a run is put off by, at random, such as ``15min``."""

    @model_validator(mode="after")
    def _events(self) -> Schedule:
        for event in self.events:
            check_calendar(event)
        return self

    @property
    def events(self) -> tuple[str, ...]:
        return (self.on_calendar,) if isinstance(self.on_calendar, str) else self.on_calendar


class ServiceTable(Model):
    """One table, as it stands."""

    command: Annotated[tuple[Word, ...], Field(min_length=1)]
    """argv. The program is looked up in the environment's ``bin/``, then below ``app/``; ``${PORT}`` is the service's
    variable."""
    before_start: Commands = ()
    """What is run before each start, as the service: one argv or several; the service starts if all end with 0."""
    environment: dict[Variable, Value] = Field(default_factory=dict)
    """Variables; ``{app} {env} {root} {state} {cache} {runtime}`` are absolute paths, here and in ``command``, and
    ``{{app}}`` is the word in braces itself."""
    secrets: tuple[Variable, ...] | None = None
    """The names of those that it gets; all unless said."""
    own_user: bool = False
    """Whether it runs as a user of its own, ``<bundle>-<service>``, with its own ``{state}`` and ``{cache}``, which the
    other services cannot read; else as the bundle's user, which they share."""
    uid: Uid | None = None
    """The number of its own user and of that user's group; the next free one unless said."""
    working_directory: Annotated[Word, AfterValidator(_directory)] = "{state}"
    """Where it runs; below ``{state}``, ``{cache}`` and ``{runtime}`` it is made."""
    profile: Literal["python", "beam", "generic"] = "python"
    """What kind of program it is, which decides how far it can be sandboxed."""
    type: Literal["exec", "notify"] | None = None
    """``notify``: it tells systemd when it is ready. ``exec`` unless said, or unless ``health.notify`` is set."""
    watchdog: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds within which a service of type ``notify`` has to say again that it is alive."""
    restart: Literal["no", "on-success", "on-failure", "on-abnormal", "on-abort", "always"] = "on-failure"
    """When systemd starts it again (``Restart=``)."""
    restart_delay: Annotated[int, Field(ge=1, le=3600)] = 5
    """Seconds before it is started again."""
    start_limit: Annotated[int, Field(ge=1, le=1000)] = 5
    """So many starts in a row that come to nothing, and systemd gives up."""
    retry: bool = True
    """Whether it is started again after that, with pauses that grow to five minutes."""
    network_online: bool | None = None
    """Whether it is started only when the network is up; unless said, if it names an address of a network."""
    stop_timeout: Annotated[int, Field(ge=1, le=86400)] | None = None
    """Seconds that it may take to end before it is killed; systemd's own are 90."""
    kill_signal: Annotated[str, AfterValidator(_signal)] | None = None
    """What its main process is asked to end with; SIGTERM unless said."""
    memory_max: _Size | None = None
    """The most memory that it may use, such as ``8G`` or ``50%`` (``MemoryMax=``)."""
    cpu_quota: Annotated[str, StringConstraints(pattern=r"^[0-9]+%$")] | None = None
    """The most processor time that it may use, of one processor, such as ``80%`` (``CPUQuota=``)."""
    tasks_max: _Tasks | None = None
    """The most processes and threads that it may have (``TasksMax=``)."""
    nofile: Annotated[int, Field(ge=16)] | None = None
    """The most files that it may have open (``LimitNOFILE=``)."""
    network: Network | None = None
    """Which addresses it may reach and be reached from: ``none``, ``loopback``, or ranges such as ``10.0.0.0/8``,
    loopback included; all unless said."""
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
    """Ports that it listens on; below 1024 it gets the right to bind them."""
    socket: Annotated[Line, AfterValidator(check_socket)] | None = None
    """What systemd listens at for it, and keeps open while it restarts: ``127.0.0.1:8000``, ``8000``, a path. The
    service finds it as descriptor 3 (LISTEN_FDS)."""
    socket_mode: Annotated[str, StringConstraints(pattern=r"^0?[0-7]{3}$")] | None = None
    """Who may connect to a path; 0660 unless said."""
    socket_group: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")] | None = None
    """The group of a path, www-data for nginx say; the service's own unless said."""
    short_lived_workers: bool = False
    """Whether its workers are to end soon, as those of ``--max-tasks-per-child 1``; the health gate does not look at
    them then."""
    gpu: bool = False
    """Whether it uses NVIDIA's devices, whose files are made before it starts."""
    after: tuple[Name, ...] = ()
    """Services of this bundle that it is started after."""
    wants: tuple[Name, ...] = ()
    """Services of this bundle that are started with it, before it."""
    requires: tuple[Name, ...] = ()
    """Services of this bundle that it never runs without; they are started before it."""
    schedule: Schedule | None = None
    """When it runs, if it is a job with a timer and not a service."""
    hardening: Literal["on", "off"] = "on"
    """``off`` takes all sandboxing away."""
    health: Health | None = None
    """How it is asked whether it is well."""
    reload: Annotated[str, AfterValidator(_reload)] | Argv | None = None
    """How it is told to read its settings anew while it runs: a signal for its main process, or a command."""
    instances: Annotated[int, Field(ge=1, le=64)] | None = None
    """So many of it run side by side, numbered from 1; ``{instance}`` and the variable INSTANCE are the number."""
    unit: UnitOverrides = UnitOverrides()
    """Directives of systemd's, as in a drop-in."""

    @property
    def ordered_after(self) -> tuple[str, ...]:
        """What it is started after: what it wants or requires, too, for a service that is not up yet is of no use."""
        return tuple(dict.fromkeys((*self.after, *self.wants, *self.requires)))

    @property
    def start_interval(self) -> int:
        """Seconds within which ``start_limit`` starts make systemd give up: twice what they take.

        Half of it would do for a service that fails at once; one that fails only after it has loaded its model must not
        slip through.
        """
        loading = self.health.start_period if self.health else 5
        return max(120, math.ceil(2 * self.start_limit * (self.restart_delay + loading)))


@dataclass(frozen=True, kw_only=True)
class Service:
    """One ``[services.<name>]`` table and the units that it makes."""

    name: str
    table: ServiceTable
    socket: SocketAddress | None = None
    """What ``table.socket`` is on every server."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those of its instances; none if it runs once, under its own name."""
        return tuple(range(1, (self.table.instances or 0) + 1))

    @property
    def unit(self) -> str:
        """The file of its unit; for instances a template, ``x@.service`` (systemd.unit(5))."""
        return self._unit("", "service")

    @property
    def target(self) -> str | None:
        """What its instances are started and stopped by, all of them."""
        return f"{self.name}.target" if self.numbers else None

    @property
    def whole(self) -> str:
        """The unit that stands for all of it where another one names it."""
        return self.target or self.unit

    def _unit(self, part: str, kind: str) -> str:
        return f"{self.name}{part}{'@' if self.numbers else ''}.{kind}"

    @property
    def timer(self) -> str | None:
        """What starts it, if it is a job."""
        return f"{self.name}.timer" if self.table.schedule else None

    @property
    def socket_unit(self) -> str | None:
        """What listens for it."""
        return f"{self.name}.socket" if self.table.socket else None

    @property
    def low_ports(self) -> tuple[int, ...]:
        """Those that it binds itself and that are root's to bind."""
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
        """Where its health check asks, ``${PORT}`` not expanded; empty if that is no port and no socket."""
        health = self.table.health
        return health.url.replace("{runtime}", f"/run/{self.name}", 1) if health else ""

    @property
    def health_unit(self) -> str | None:
        """The oneshot that probes the service once, if there is something to ask."""
        return self._unit("-health", "service") if self.table.health and self.table.health.asked else None

    @property
    def health_timer(self) -> str | None:
        """What has the service probed as long as it runs."""
        return self._unit("-health", "timer") if self.table.health and self.table.health.watched else None

    @property
    def gpu_unit(self) -> str | None:
        """The oneshot that makes the GPU's device files before it starts."""
        return f"{self.name}-gpu.service" if self.table.gpu else None

    @property
    def retried(self) -> bool:
        """Whether it is started again when systemd has given it up."""
        return not self.table.schedule and self.table.retry and self.table.restart in ("always", "on-failure")

    @property
    def watch_timer(self) -> str | None:
        """What starts ``watch_unit``, and runs as long as nobody has stopped the service."""
        return self.health_timer or (self._unit("-watch", "timer") if self.retried else None)

    @property
    def watch_unit(self) -> str | None:
        """The oneshot that counts bad answers and restarts the service, or starts it again."""
        return self._unit("-watch", "service") if self.watch_timer else None

    @property
    def units(self) -> tuple[str, ...]:
        """All of them."""
        health = (self.health_unit, self.watch_timer, self.watch_unit)
        return tuple(filter(None, (self.unit, self.socket_unit, self.target, self.timer, *health, self.gpu_unit)))

    def problems(self) -> Iterator[str]:
        """What no single key can know: settings that exclude each other."""
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
        """A health check that its network keeps away."""
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
        """A start limit that an override has put out of reach."""
        unit, table = self.table.unit, self.table
        changed = {"StartLimitIntervalSec", "StartLimitBurst"} & unit.Unit.keys() or "RestartSec" in unit.Service
        if not changed or self.kind == "oneshot":
            return
        try:
            interval = seconds_of(unit.last("Unit", "StartLimitIntervalSec", str(table.start_interval)))
            burst = int(unit.last("Unit", "StartLimitBurst", str(table.start_limit)))
            delay = seconds_of(unit.last("Service", "RestartSec", str(table.restart_delay)))
        except ValueError:
            return  # said of the directive itself
        if 0 < interval <= burst * delay:  # 0 turns it off: whoever writes that knows
            yield (
                f"{where}.unit: the start limit can never be reached: {burst} starts {delay:g} s apart take longer "
                f"than StartLimitIntervalSec={interval:g}"
            )

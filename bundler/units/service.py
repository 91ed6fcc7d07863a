"""Services -> units: which directives, with which values. Values are escaped here, so that templates only print."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bundler.config.instances import VARIABLE
from bundler.units.addresses import probe_addresses, service_addresses
from bundler.units.commands import command_line, health_command, programs, reload_lines
from bundler.units.contents import NOTHING
from bundler.units.context import UnitContext
from bundler.units.ending import stopping
from bundler.units.environment import beam_variables, environment_directives, stopper
from bundler.units.gpu import gpu_sections
from bundler.units.health import health_sections, timer_sections, watch_sections
from bundler.units.hooks import hook_sections
from bundler.units.instances import of_instance, own_name, target_sections, template_lines
from bundler.units.network import needs_network
from bundler.units.overrides import Replaced, overridden_sections, shared_overrides
from bundler.units.ownplaces import made_by_itself, own_modes
from bundler.units.sandbox import confinement, probe_confinement
from bundler.units.sockets import socket_lines, socket_sections
from bundler.units.unitfile import Lines, Section, Sections, Unit, fill, given

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bundler.config.namedhooks import Hook
    from bundler.config.project import BundleConfig, Service
    from bundler.units.contents import Contents

__all__ = ["make_units", "overridden", "service_environment"]

# Where a service keeps files, and the directive that has systemd make such a directory.
_DIRECTORIES = (("state", "StateDirectory"), ("cache", "CacheDirectory"), ("runtime", "RuntimeDirectory"))
_OF_SERVICE = ("Unit", "Service", "Install")
"""The sections of a service's own unit that bundle.toml may override."""


def service_environment(context: UnitContext, number: int | None = None) -> tuple[tuple[str, str], ...]:
    """The service's own variables, or those of an instance: the profile's, then those in bundle.toml."""
    table, where = context.service.table, context.places
    own: dict[str, str] = {}
    if number is not None:
        where = where | {"instance": str(number)}
        own = {VARIABLE: str(number)}
    if table.profile == "beam":
        own |= beam_variables(context)
    own |= {name: fill(value, where) for name, value in table.environment.items()}
    return tuple(own.items())


def make_units(
    config: BundleConfig, release: str, executables: AbstractSet[str], contents: Contents = NOTHING
) -> tuple[Unit, ...]:
    """The units of all services, their timers and health checks, and of hooks.

    ``release`` is the release's absolute path on the server, ``executables`` are the executable files below it, and
    ``contents`` describes the environment. Raises :class:`ConfigError` for a command that does not exist.
    """

    def context(service: Service) -> UnitContext:
        return UnitContext(config=config, service=service, release=release, executables=executables, contents=contents)

    units = [unit for service in config.services for unit in _units_of(context(service))]
    return (*units, *(_hook_unit(hook, context(hook.service)) for hook in config.hooks))


def _units_of(context: UnitContext) -> list[Unit]:
    """The service's own unit, then those beside it."""
    service = context.service
    sections = overridden_sections(context, _service_sections(context, programs(context)), _OF_SERVICE)[0]
    found = {service.unit: sections | {"Service": made_by_itself(sections["Service"])}}
    if service.socket_unit:
        found[service.socket_unit] = overridden_sections(context, socket_sections(context), ("Socket",))[0]
    if service.target:
        found[service.target] = target_sections(context)
    if service.timer:
        found[service.timer] = overridden_sections(context, _schedule_sections(context), ("Timer",))[0]
    if service.health_unit:
        found[service.health_unit] = health_sections(context, _health_rights(context), health_command(context))
    if service.watch_timer and service.watch_unit:
        found[service.watch_timer] = timer_sections(context)
        found[service.watch_unit] = watch_sections(context)
    if service.gpu_unit:
        found[service.gpu_unit] = gpu_sections(context)
    return [_unit(context, name, sections) for name, sections in found.items()]


def _hook_unit(hook: Hook, context: UnitContext) -> Unit:
    command = command_line(context, hook.table.command, f"hooks.{hook.key}")
    sections = hook_sections(hook, context.config, command=command, rights=_hook_rights(hook, context))
    return _unit(context, hook.unit, sections | {"Service": made_by_itself(sections["Service"])})


def _hook_rights(hook: Hook, context: UnitContext) -> Lines:
    """What a hook shares with its service."""
    lines = (
        *_directories(context),
        *_common(context, hook.unit),
        *confinement(context.service, context.contents),
        *service_addresses(context.service),
    )
    lines = shared_overrides(context, lines)
    return of_instance(lines, 1) if context.service.numbers else lines


def _service_sections(context: UnitContext, commands: Lines) -> Sections:
    config, service, table = context.config, context.service, context.service.table
    after = _named(config, table.ordered_after)
    online = "network-online.target" if needs_network(config, service) else ""
    first = tuple(filter(None, (online, service.gpu_unit)))
    sections = {
        "Unit": (
            ("Description", context.description),
            ("After", " ".join(filter(None, ("network.target", service.socket_unit, *first, *after)))),
            *given(
                ("Wants", " ".join((*first, *_named(config, table.wants)))),
                ("Requires", " ".join(filter(None, (service.socket_unit, *_named(config, table.requires))))),
                ("PartOf", service.target),
                ("OnFailure", own_name(service.watch_unit or "") if service.retried else None),
            ),
            ("RequiresMountsFor", f"{config.root} /var/lib/{context.user}"),
            *_start_limit(service),
            *((("X-ShortLivedWorkers", "yes"),) if table.short_lived_workers else ()),
        ),
        "Service": (
            ("Type", service.kind),  # exec and notify: a missing binary fails `systemctl start`
            *commands,
            *socket_lines(service),
            *_ends(context),
            *stopping(service, context.contents),
            *given(
                ("MemoryMax", table.memory_max),
                ("CPUQuota", table.cpu_quota),
                ("TasksMax", table.tasks_max),
                ("LimitNOFILE", table.nofile),
            ),
            *_directories(context),
            # The instances share it: the first one to stop would remove it for the others.
            *((("RuntimeDirectoryPreserve", "yes"),) if service.numbers else ()),
            ("SyslogIdentifier", own_name(service.unit).removesuffix(".service")),
            *_common(context, service.unit),
            *confinement(service, context.contents),
            *service_addresses(service),
        ),
    }
    if not table.schedule:
        sections["Install"] = (("WantedBy", service.target or "multi-user.target"),)
    return sections


def _named(config: BundleConfig, names: tuple[str, ...]) -> list[str]:
    """The units that represent these services."""
    units = {service.name: service.whole for service in config.services}
    return [units[name] for name in names]


def _start_limit(service: Service) -> Lines:
    """The interval is longer than burst x RestartSec; otherwise a broken service would be restarted for ever."""
    table = service.table
    if table.schedule:
        return ()
    return (("StartLimitIntervalSec", str(table.start_interval)), ("StartLimitBurst", str(table.start_limit)))


def _ends(context: UnitContext) -> Lines:
    """What happens when it exits, fails to start or hangs. A job runs again as scheduled."""
    service, table = context.service, context.service.table
    if table.schedule:
        return ()
    patience = ""
    if service.kind == "notify" and table.health:
        patience = str(math.ceil(table.health.start_period + table.health.timeout))
    return (
        ("Restart", table.restart),
        ("RestartSec", str(table.restart_delay)),
        *given(("ExecStop", stopper(context)), ("TimeoutStartSec", patience), ("WatchdogSec", table.watchdog)),
    )


def _directories(context: UnitContext) -> Lines:
    """The directories that systemd creates for it, and its working directory, which it may have to create itself."""
    service, user = context.service, context.user
    names = {place: service.name if place == "runtime" else user for place, _ in _DIRECTORIES}
    return (
        ("LogsDirectory", user),
        ("WorkingDirectory", context.fill(service.table.working_directory).rstrip("/") or "/"),
        *((directive, names[place]) for place, directive in _DIRECTORIES),
        *own_modes(service),
    )


def _schedule_sections(context: UnitContext) -> Sections:
    """The timer of a job."""
    schedule = context.service.table.schedule
    assert schedule is not None
    lines = (
        *(("OnCalendar", event) for event in schedule.events),
        ("Persistent", "yes" if schedule.persistent else "no"),
        ("RandomizedDelaySec", schedule.randomized_delay),
    )
    return {
        "Unit": (("Description", f"Schedule of {context.description}"),),
        "Timer": lines,
        "Install": (("WantedBy", "timers.target"),),
    }


def _health_rights(context: UnitContext) -> Lines:
    """What a health check shares with its service; the user's own command also has the service's rights."""
    service, table = context.service, context.service.table
    assert table.health is not None
    assert service.health_unit is not None
    common = _common(context, service.health_unit)
    if table.health.command:
        lines = (
            ("WorkingDirectory", f"-{context.fill(table.working_directory)}"),
            *(("ReadWritePaths", f"-{context.places[place]}") for place, _ in _DIRECTORIES),
            *common,
            *confinement(service, context.contents),
            *service_addresses(service),
        )
    else:
        lines = (*common, *probe_confinement(service), *probe_addresses(service))
    return shared_overrides(context, lines)


def _common(context: UnitContext, unit: str) -> Lines:
    """What a service and its health check share: user, environment, log. ``unit`` is one of the two."""
    return (
        ("User", context.user),
        ("Group", context.user),
        *environment_directives(context, own_name(unit)),
        # Otherwise a start script that generates a cookie in a pipeline (`… | head -n 1`) would hang for ever.
        ("IgnoreSIGPIPE", "false"),
        ("StandardOutput", "journal"),
        ("StandardError", "journal"),
    )


def _unit(context: UnitContext, name: str, sections: Sections) -> Unit:
    config = context.config
    if "@." in name:
        sections = {**sections, "Unit": (*sections["Unit"], *template_lines(context.service))}
    return Unit(
        name=name,
        comment=f"{config.name} {config.version}, release {context.release}. Made by conda-bundler; change it with a"
        f" drop-in: systemctl edit {name}",
        sections=tuple(Section(name=title, directives=lines) for title, lines in sections.items()),
    )


def overridden(context: UnitContext) -> tuple[Replaced, ...]:
    """The lines of the service, its socket and its timer that overrides in bundle.toml replace."""
    service, table = context.service, context.service.table
    commands = (
        *(("ExecStartPre", " ".join(words)) for words in table.before_start),
        *((("ExecReload", " ".join(table.reload)),) if isinstance(table.reload, tuple) else reload_lines(context)),
    )
    replaced = overridden_sections(context, _service_sections(context, commands), _OF_SERVICE)[1]
    if service.socket_unit:
        replaced += overridden_sections(context, socket_sections(context), ("Socket",))[1]
    if service.timer:
        replaced += overridden_sections(context, _schedule_sections(context), ("Timer",))[1]
    return replaced

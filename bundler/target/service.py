"""Services -> units: which directives, with which values. Values are escaped here, so that templates only print."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bundler.errors import ConfigError
from bundler.target.delivery import beam_variables, environment_directives, launcher, stopper
from bundler.target.hardening import confinement, probe_confinement, variables
from bundler.target.health import Sections, health_sections, timer_sections, watch_sections
from bundler.target.hooks import hook_sections
from bundler.target.network import needs_network
from bundler.target.words import Lines, Section, Unit, command_word, fill, free_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.config.hooks import Hook
    from bundler.config.project import BundleConfig, Service

__all__ = ["make_units", "places", "service_environment"]

# Where a service keeps files, and the directive that has systemd make such a directory.
_DIRECTORIES = (("state", "StateDirectory"), ("cache", "CacheDirectory"), ("runtime", "RuntimeDirectory"))

# What of a service's overrides its health check has as well: who asks, from where, with which rights.
_SHARED_OVERRIDES = frozenset(
    """
    AppArmorProfile BindPaths BindReadOnlyPaths Environment EnvironmentFile Group IPAddressAllow IPAddressDeny
    IPCNamespacePath InaccessiblePaths NetworkNamespacePath PassEnvironment PrivateDevices PrivateMounts PrivateNetwork
    PrivateTmp PrivateUsers ProcSubset ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs
    ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyPaths ReadWritePaths
    RestrictAddressFamilies RestrictFileSystems RestrictNamespaces RootDirectory RootImage SELinuxContext
    SupplementaryGroups SystemCallFilter TemporaryFileSystem UnsetEnvironment User MemoryDenyWriteExecute
    """.split()  # noqa: SIM905 -- a list of forty strings would be read by nobody
)


def places(config: BundleConfig, service: Service, release: str) -> dict[str, str]:
    """What ``{app}`` and its like stand for: absolute paths on the target."""
    return {
        "app": f"{release}/app",
        "env": f"{release}/env",
        "root": config.root,
        "state": f"/var/lib/{config.name}",
        "cache": f"/var/cache/{config.name}",
        "runtime": f"/run/{service.name}",
    }


def service_environment(
    config: BundleConfig, service: Service, release: str, packages: frozenset[str] = frozenset()
) -> tuple[tuple[str, str], ...]:
    """The service's own variables: what its profile and the environment's packages need, then what bundle.toml says."""
    where = places(config, service, release)
    own: dict[str, str] = {}
    if service.table.profile == "beam":
        own |= beam_variables(config, service, where["runtime"])
    own |= {name: fill(value, where) for name, value in variables(packages)}
    own |= {name: fill(value, where) for name, value in service.table.environment.items()}
    return tuple(own.items())


def make_units(
    config: BundleConfig, release: str, executables: frozenset[str], packages: frozenset[str] = frozenset()
) -> tuple[Unit, ...]:
    """The units of all services, their timers and health checks.

    ``release`` is the release's absolute path on the target, ``executables`` what can be run below it, ``packages`` the
    names of what the environment has. Raises :class:`ConfigError` for a command that is in neither.
    """
    units = []
    for service in config.services:
        command = _command(config, service, release, executables)
        found = {service.unit: _service_sections(config, service, release, command, packages, executables)}
        about = _description(config, service)
        if service.timer:
            found[service.timer] = _schedule_sections(service, description=about)
        if service.health_unit:
            asking = _health_command(config, service, release, executables)
            common = _asking(config, service, release, packages)
            found[service.health_unit] = health_sections(
                service, common, description=about, release=release, command=asking
            )
        if service.watch_timer and service.watch_unit:
            found[service.watch_timer] = timer_sections(service, description=about)
            found[service.watch_unit] = watch_sections(service, config, description=about, release=release)
        units += [_unit(name, config, release, sections) for name, sections in found.items()]
    for hook in config.hooks:
        where = f"hooks.{hook.key}"
        command = _line(config, hook.service, release, executables, words=hook.table.command, where=where)
        rights = _hook_rights(config, hook, release, packages)
        online = needs_network(config, hook.service)
        sections = hook_sections(hook, config, command=command, rights=rights, online=online)
        units.append(_unit(hook.unit, config, release, sections))
    return tuple(units)


def _hook_rights(config: BundleConfig, hook: Hook, release: str, packages: frozenset[str]) -> Lines:
    """What a hook shares with its service."""
    lines = (
        *_directories(config, hook.service, release),
        *_common(config, hook.service, release, hook.unit),
        *confinement(hook.service, packages),
    )
    return _overridden(lines, _shared_overrides(hook.service))


def _service_sections(
    config: BundleConfig,
    service: Service,
    release: str,
    command: str,
    packages: frozenset[str],
    executables: frozenset[str],
) -> Sections:
    table = service.table
    order = " ".join(f"{name}.service" for name in table.ordered_after)
    online = "network-online.target" if needs_network(config, service) else ""
    sections = {
        "Unit": (
            ("Description", _description(config, service)),
            ("After", " ".join(filter(None, ("network.target", online, order)))),
            *_given(
                ("Wants", " ".join(filter(None, (online, *(f"{name}.service" for name in table.wants))))),
                ("Requires", " ".join(f"{name}.service" for name in table.requires)),
                ("OnFailure", service.watch_unit if service.retried else None),
            ),
            ("RequiresMountsFor", f"{config.root} /var/lib/{config.name}"),
            *_start_limit(service),
        ),
        "Service": (
            ("Type", service.kind),  # exec and notify: a missing binary fails `systemctl start`
            *_before(config, service, release, executables),
            ("ExecStart", command),
            *_ends(service, release),
            *_stops(service),
            *_given(
                ("MemoryMax", table.memory_max),
                ("CPUQuota", table.cpu_quota),
                ("TasksMax", table.tasks_max),
                ("LimitNOFILE", table.nofile),
            ),
            *_directories(config, service, release),
            ("SyslogIdentifier", service.name),
            *_common(config, service, release, service.unit),
            *confinement(service, packages),
        ),
    }
    if not table.schedule:
        sections["Install"] = (("WantedBy", "multi-user.target"),)
    for name, lines in sections.items():
        sections[name] = _overridden(lines, table.unit.section(name))
    return sections


def _start_limit(service: Service) -> Lines:
    """More than burst x RestartSec, or the limit could never trip and a broken service loop for ever."""
    table = service.table
    if table.schedule:
        return ()
    return (("StartLimitIntervalSec", str(table.start_interval)), ("StartLimitBurst", str(table.start_limit)))


def _ends(service: Service, release: str) -> Lines:
    """What happens when it has ended, does not come up or hangs. A job runs again when it is time."""
    table = service.table
    if table.schedule:
        return ()
    stop = stopper(service, release)
    patience = ""
    if service.kind == "notify" and table.health:
        patience = str(math.ceil(table.health.start_period + table.health.timeout))
    return (
        ("Restart", table.restart),
        ("RestartSec", str(table.restart_delay)),
        *_given(("ExecStop", stop), ("TimeoutStartSec", patience), ("WatchdogSec", table.watchdog)),
    )


def _stops(service: Service) -> Lines:
    """How it is ended. The main process is asked first, alone: it has the others finish what they do.

    One process for which there is no memory left does not end the others.
    """
    table = service.table
    return (
        ("KillMode", "mixed"),
        *_given(("KillSignal", table.kill_signal), ("TimeoutStopSec", table.stop_timeout)),
        ("OOMPolicy", "continue"),
    )


def _directories(config: BundleConfig, service: Service, release: str) -> Lines:
    """What systemd makes for it. Below one of them the working directory is made, too."""
    where = places(config, service, release)
    goal = fill(service.table.working_directory, where).rstrip("/") or "/"
    lines = [("LogsDirectory", config.name), ("WorkingDirectory", goal)]
    for place, directive in _DIRECTORIES:
        name = service.name if place == "runtime" else config.name
        if goal.startswith(f"{where[place]}/"):
            # The variable would have both, with a colon between.
            lines.append(("Environment", f"{place.upper()}_DIRECTORY={where[place]}"))
            name += f" {name}{goal.removeprefix(where[place])}"
        lines.append((directive, name))
    return tuple(lines)


def _schedule_sections(service: Service, *, description: str) -> Sections:
    """The timer of a job."""
    table = service.table
    assert table.schedule is not None
    lines = (
        *(("OnCalendar", event) for event in table.schedule.events),
        ("Persistent", "yes" if table.schedule.persistent else "no"),
        ("RandomizedDelaySec", table.schedule.randomized_delay),
    )
    return {
        "Unit": (("Description", f"When to run {description}"),),
        "Timer": _overridden(lines, table.unit.Timer),
        "Install": (("WantedBy", "timers.target"),),
    }


def _asking(config: BundleConfig, service: Service, release: str, packages: frozenset[str]) -> Lines:
    """What a health check shares with its service; a command of the user's own has its rights as well."""
    table, unit = service.table, service.health_unit
    assert table.health is not None
    assert unit is not None
    common = _common(config, service, release, unit)
    if table.health.command:
        where = places(config, service, release)
        lines = (
            ("WorkingDirectory", f"-{fill(table.working_directory, where)}"),
            *(("ReadWritePaths", f"-{where[place]}") for place, _ in _DIRECTORIES),
            *common,
            *confinement(service, packages),
        )
    else:
        lines = (*common, *probe_confinement(service))
    return _overridden(lines, _shared_overrides(service))


def _shared_overrides(service: Service) -> dict[str, str | tuple[str, ...]]:
    return {key: value for key, value in service.table.unit.Service.items() if key in _SHARED_OVERRIDES}


def _common(config: BundleConfig, service: Service, release: str, unit: str) -> Lines:
    """What a service and its health check, of which ``unit`` is one, share: user, environment, log."""
    return (
        ("User", config.name),
        ("Group", config.name),
        *environment_directives(config, service, release, unit),
        # A start script that makes a cookie through a pipeline (`… | head -n 1`) would otherwise hang for ever.
        ("IgnoreSIGPIPE", "false"),
        ("StandardOutput", "journal"),
        ("StandardError", "journal"),
    )


def _given(*lines: tuple[str, str | int | None]) -> Lines:
    """Those that have a value."""
    return tuple((key, str(value)) for key, value in lines if value)


def _unit(name: str, config: BundleConfig, release: str, sections: Sections) -> Unit:
    return Unit(
        name=name,
        comment=f"{config.name} {config.version}, release {release}. Made by conda-bundler; change it with a drop-in:"
        f" systemctl edit {name}",
        sections=tuple(Section(name=title, directives=lines) for title, lines in sections.items()),
    )


def _overridden(directives: Lines, overrides: Mapping[str, str | tuple[str, ...]]) -> Lines:
    """``[services.x.unit.Service]``: the user's directives, verbatim, in place of ours of the same name."""
    given = {key: (value,) if isinstance(value, str) else value for key, value in overrides.items()}
    kept = tuple((key, value) for key, value in directives if key not in given)
    return kept + tuple((key, value) for key, values in given.items() for value in values)


def _command(config: BundleConfig, service: Service, release: str, executables: frozenset[str]) -> str:
    where = f"services.{service.name}.command"
    return _line(config, service, release, executables, words=service.table.command, where=where)


def _before(config: BundleConfig, service: Service, release: str, executables: frozenset[str]) -> Lines:
    where = f"services.{service.name}.before_start"
    return tuple(
        ("ExecStartPre", _line(config, service, release, executables, words=words, where=where))
        for words in service.table.before_start
    )


def _health_command(config: BundleConfig, service: Service, release: str, executables: frozenset[str]) -> str:
    """The user's own health check; empty if ours is to ask."""
    health = service.table.health
    if health is None or not health.command:
        return ""
    where = f"services.{service.name}.health.command"
    return _line(config, service, release, executables, words=health.command, where=where)


def _line(
    config: BundleConfig,
    service: Service,
    release: str,
    executables: frozenset[str],
    *,
    words: tuple[str, ...],
    where: str,
) -> str:
    """A command line of systemd's; its first word is looked up in env/bin, then in app/."""
    inside = places(config, service, release)
    program, *arguments = (fill(word, inside) for word in words)
    found = _absolute(program, release, executables)
    if not found:
        raise ConfigError(
            f"there is no program {program!r} in the environment's bin/ or among [files]",
            where=where,
            remedy="Add the package that has it to the environment, or the file to [files] (and make it executable).",
        )
    line = (*launcher(service, found, release, executables), found, *arguments)
    return " ".join(command_word(word) for word in line)


def _absolute(program: str, release: str, executables: frozenset[str]) -> str | None:
    if program.startswith("/"):
        inside = program.removeprefix(f"{release}/")
        return program if inside == program or inside in executables else None
    candidates = (f"env/bin/{program}", f"app/{program}")
    return next((f"{release}/{candidate}" for candidate in candidates if candidate in executables), None)


def _description(config: BundleConfig, service: Service) -> str:
    """For units: escaped."""
    text = config.description if service.name == config.name else f"{config.description} ({service.name})"
    return free_text(text)

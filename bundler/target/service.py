"""Services -> units: which directives, with which values. Values are escaped here, so that templates only print."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bundler.config.instances import VARIABLE
from bundler.config.users import user_of
from bundler.target.addresses import probe_addresses, service_addresses
from bundler.target.contents import NOTHING
from bundler.target.delivery import beam_variables, environment_directives, launcher, stopper
from bundler.target.gpu import gpu_sections
from bundler.target.hardening import confinement, probe_confinement
from bundler.target.health import Sections, health_sections, timer_sections, watch_sections
from bundler.target.hooks import hook_sections
from bundler.target.instances import of_instance, own_name, target_sections, template_lines
from bundler.target.network import needs_network
from bundler.target.overrides import COMMANDS, Replaced, command_line, lay_over
from bundler.target.ownplaces import made_by_itself, own_modes
from bundler.target.programs import check_path, find_program, missing_program
from bundler.target.sockets import socket_lines, socket_sections
from bundler.target.words import NUMBER, Lines, Section, Unit, command_word, fill, free_text

if TYPE_CHECKING:
    from bundler.config.hooks import Hook
    from bundler.config.project import BundleConfig, Service
    from bundler.target.contents import Contents

__all__ = ["make_units", "overridden", "places", "service_environment"]

# Where a service keeps files, and the directive that has systemd make such a directory.
_DIRECTORIES = (("state", "StateDirectory"), ("cache", "CacheDirectory"), ("runtime", "RuntimeDirectory"))

# What of a service's overrides its health check has as well: who asks, from where, with which rights.
_SHARED_OVERRIDES = frozenset(
    """
    AppArmorProfile BindPaths BindReadOnlyPaths Environment EnvironmentFile IPAddressAllow IPAddressDeny
    IPCNamespacePath InaccessiblePaths NetworkNamespacePath PassEnvironment PrivateDevices PrivateMounts PrivateNetwork
    PrivateTmp PrivateUsers ProcSubset ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs
    ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyPaths ReadWritePaths
    RestrictAddressFamilies RestrictFileSystems RestrictNamespaces RootDirectory RootImage SELinuxContext
    SupplementaryGroups SystemCallFilter TemporaryFileSystem UnsetEnvironment MemoryDenyWriteExecute
    """.split()  # noqa: SIM905 -- a list of forty strings would be read by nobody
)


def places(config: BundleConfig, service: Service, release: str) -> dict[str, str]:
    """What ``{app}`` and its like stand for: absolute paths on the target."""
    return {
        "app": f"{release}/app",
        "env": f"{release}/env",
        "root": config.root,
        "state": f"/var/lib/{user_of(config, service)}",
        "cache": f"/var/cache/{user_of(config, service)}",
        "runtime": f"/run/{service.name}",
        **({"instance": "%i"} if service.numbers else {}),
    }


def service_environment(
    config: BundleConfig, service: Service, release: str, number: int | None = None
) -> tuple[tuple[str, str], ...]:
    """The service's own variables, or those of an instance: what its profile needs, then what bundle.toml says."""
    where = places(config, service, release)
    own: dict[str, str] = {}
    if number is not None:
        where |= {"instance": str(number)}
        own = {VARIABLE: str(number)}
    if service.table.profile == "beam":
        own |= beam_variables(config, service, where["runtime"])
    own |= {name: fill(value, where) for name, value in service.table.environment.items()}
    return tuple(own.items())


def make_units(
    config: BundleConfig, release: str, executables: frozenset[str], contents: Contents = NOTHING
) -> tuple[Unit, ...]:
    """The units of all services, their timers and health checks.

    ``release`` is the release's absolute path on the target, ``executables`` what can be run below it,
    ``contents`` what the environment has. Raises :class:`ConfigError` for a command that is in neither.
    """
    units = []
    for service in config.services:
        programs = _programs(config, service, release, executables)
        sections = _service_sections(config, service, release, programs, contents)
        found = {service.unit: _laid_over(config, service, release, sections, executables)[0]}
        found[service.unit] |= {"Service": made_by_itself(found[service.unit]["Service"])}
        about = _description(config, service)
        if service.socket_unit:
            opened = socket_sections(service, config, description=about)
            found[service.socket_unit] = _laid_over(config, service, release, opened, executables, ("Socket",))[0]
        if service.target:
            found[service.target] = target_sections(description=_description(config, service, instance=""))
        if service.timer:
            timer = _schedule_sections(service, description=about)
            found[service.timer] = _laid_over(config, service, release, timer, executables, ("Timer",))[0]
        if service.health_unit:
            asking = _health_command(config, service, release, executables)
            common = _asking(config, service, release, contents)
            found[service.health_unit] = health_sections(
                service, common, description=about, release=release, command=asking
            )
        if service.watch_timer and service.watch_unit:
            found[service.watch_timer] = timer_sections(service, description=about)
            found[service.watch_unit] = watch_sections(service, config, description=about, release=release)
        if service.gpu_unit:
            found[service.gpu_unit] = gpu_sections(description=about, release=release)
        units += [_unit(name, config, release, sections, service) for name, sections in found.items()]
    for hook in config.hooks:
        where = f"hooks.{hook.key}"
        command = _line(config, hook.service, release, executables, words=hook.table.command, where=where)
        rights = _hook_rights(config, hook, release, contents)
        online = needs_network(config, hook.service)
        sections = hook_sections(hook, config, command=command, rights=rights, online=online)
        sections |= {"Service": made_by_itself(sections["Service"])}
        units.append(_unit(hook.unit, config, release, sections))
    return tuple(units)


def _hook_rights(config: BundleConfig, hook: Hook, release: str, contents: Contents) -> Lines:
    """What a hook shares with its service."""
    lines = (
        *_directories(config, hook.service, release),
        *_common(config, hook.service, release, hook.unit),
        *confinement(hook.service, contents),
        *service_addresses(hook.service),
    )
    lines = _with_shared_overrides(config, hook.service, release, lines)
    return of_instance(lines, 1) if hook.service.numbers else lines


def _service_sections(
    config: BundleConfig, service: Service, release: str, programs: Lines, contents: Contents
) -> Sections:
    table = service.table
    after = _named(config, table.ordered_after)
    online = "network-online.target" if needs_network(config, service) else ""
    first = tuple(filter(None, (online, service.gpu_unit)))
    sections = {
        "Unit": (
            ("Description", _description(config, service)),
            ("After", " ".join(filter(None, ("network.target", service.socket_unit, *first, *after)))),
            *_given(
                ("Wants", " ".join((*first, *_named(config, table.wants)))),
                ("Requires", " ".join(filter(None, (service.socket_unit, *_named(config, table.requires))))),
                ("PartOf", service.target),
                ("OnFailure", own_name(service.watch_unit or "") if service.retried else None),
            ),
            ("RequiresMountsFor", f"{config.root} /var/lib/{user_of(config, service)}"),
            *_start_limit(service),
            *((("X-ShortLivedWorkers", "yes"),) if table.short_lived_workers else ()),
        ),
        "Service": (
            ("Type", service.kind),  # exec and notify: a missing binary fails `systemctl start`
            *programs,
            *socket_lines(service),
            *_ends(service, release),
            *_stops(service),
            *_given(
                ("MemoryMax", table.memory_max),
                ("CPUQuota", table.cpu_quota),
                ("TasksMax", table.tasks_max),
                ("LimitNOFILE", table.nofile),
            ),
            *_directories(config, service, release),
            # It is of all instances: the first that stops would take it from the others.
            *((("RuntimeDirectoryPreserve", "yes"),) if service.numbers else ()),
            ("SyslogIdentifier", own_name(service.unit).removesuffix(".service")),
            *_common(config, service, release, service.unit),
            *confinement(service, contents),
            *service_addresses(service),
        ),
    }
    if not table.schedule:
        sections["Install"] = (("WantedBy", service.target or "multi-user.target"),)
    return sections


def _named(config: BundleConfig, names: tuple[str, ...]) -> list[str]:
    """The units that stand for these services."""
    units = {service.name: service.whole for service in config.services}
    return [units[name] for name in names]


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
    """What systemd makes for it, and where it begins; below one of these it makes that itself."""
    where = places(config, service, release)
    goal = fill(service.table.working_directory, where).rstrip("/") or "/"
    user = user_of(config, service)
    names = {place: service.name if place == "runtime" else user for place, _ in _DIRECTORIES}
    return (
        ("LogsDirectory", user),
        ("WorkingDirectory", goal),
        *((directive, names[place]) for place, directive in _DIRECTORIES),
        *own_modes(service),
    )


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
        "Timer": lines,
        "Install": (("WantedBy", "timers.target"),),
    }


def _asking(config: BundleConfig, service: Service, release: str, contents: Contents) -> Lines:
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
            *confinement(service, contents),
            *service_addresses(service),
        )
    else:
        lines = (*common, *probe_confinement(service), *probe_addresses(service))
    return _with_shared_overrides(config, service, release, lines)


def _with_shared_overrides(config: BundleConfig, service: Service, release: str, lines: Lines) -> Lines:
    overrides = _overrides(config, service, release, "Service", None)
    return lay_over("Service", lines, {key: said for key, said in overrides.items() if key in _SHARED_OVERRIDES})[0]


def _common(config: BundleConfig, service: Service, release: str, unit: str) -> Lines:
    """What a service and its health check, of which ``unit`` is one, share: user, environment, log."""
    return (
        ("User", user_of(config, service)),
        ("Group", user_of(config, service)),
        *environment_directives(config, service, release, own_name(unit)),
        # A start script that makes a cookie through a pipeline (`… | head -n 1`) would otherwise hang for ever.
        ("IgnoreSIGPIPE", "false"),
        ("StandardOutput", "journal"),
        ("StandardError", "journal"),
    )


def _given(*lines: tuple[str, str | int | None]) -> Lines:
    """Those that have a value."""
    return tuple((key, str(value)) for key, value in lines if value)


def _unit(name: str, config: BundleConfig, release: str, sections: Sections, service: Service | None = None) -> Unit:
    if service is not None and "@." in name:
        sections = {**sections, "Unit": (*sections["Unit"], *template_lines(service))}
    return Unit(
        name=name,
        comment=f"{config.name} {config.version}, release {release}. Made by conda-bundler; change it with a drop-in:"
        f" systemctl edit {name}",
        sections=tuple(Section(name=title, directives=lines) for title, lines in sections.items()),
    )


def overridden(config: BundleConfig, service: Service, release: str, contents: Contents) -> tuple[Replaced, ...]:
    """What bundle.toml's overrides take away of the lines of the service, its socket and its timer."""
    table = service.table
    programs = (
        *(("ExecStartPre", " ".join(words)) for words in table.before_start),
        *((("ExecReload", " ".join(table.reload)),) if isinstance(table.reload, tuple) else _signalled(service)),
    )
    sections = _service_sections(config, service, release, programs, contents)
    replaced = _laid_over(config, service, release, sections, None)[1]
    if service.socket_unit:
        opened = socket_sections(service, config, description="")
        replaced += _laid_over(config, service, release, opened, None, ("Socket",))[1]
    if service.timer:
        timer = _schedule_sections(service, description="")
        replaced += _laid_over(config, service, release, timer, None, ("Timer",))[1]
    return replaced


def _laid_over(
    config: BundleConfig,
    service: Service,
    release: str,
    sections: Sections,
    executables: frozenset[str] | None,
    titles: tuple[str, ...] = ("Unit", "Service", "Install"),
) -> tuple[Sections, tuple[Replaced, ...]]:
    """``sections`` with the overrides of those named in ``titles``, and what of them is gone."""
    laid = dict(sections)
    replaced: list[Replaced] = []
    for title in titles:
        if title in sections:
            overrides = _overrides(config, service, release, title, executables)
            laid[title], gone = lay_over(title, sections[title], overrides)
            replaced += gone
    return laid, tuple(replaced)


def _overrides(
    config: BundleConfig, service: Service, release: str, section: str, executables: frozenset[str] | None
) -> dict[str, tuple[str, ...]]:
    """``[services.x.unit.<section>]`` filled in; programs are looked up if ``executables`` are known."""
    inside = places(config, service, release)
    found = {}
    for directive, lines in service.table.unit.lines(section).items():
        if section == "Service" and directive in COMMANDS and executables is not None:
            where = f"services.{service.name}.unit.Service.{directive}"
            found[directive] = tuple(
                command_line(line, where, places=inside, release=release, executables=executables) for line in lines
            )
        else:
            found[directive] = tuple(fill(line, inside) for line in lines)
    return found


def _programs(config: BundleConfig, service: Service, release: str, executables: frozenset[str]) -> Lines:
    """What is run before it starts, the service itself, and what has it reload."""
    table = service.table

    def line(key: str, words: tuple[str, ...]) -> str:
        where = f"services.{service.name}.{key}"
        return _line(config, service, release, executables, words=words, where=where)

    before = tuple(("ExecStartPre", line("before_start", words)) for words in table.before_start)
    start = ("ExecStart", line("command", table.command))
    if isinstance(table.reload, tuple):
        return (*before, start, ("ExecReload", line("reload", table.reload)))
    return (*before, start, *_signalled(service))


def _signalled(service: Service) -> Lines:
    """A shell of the server's sends the signal: not every server has a program ``kill``."""
    reload = service.table.reload
    if not isinstance(reload, str):
        return ()
    return (("ExecReload", f'/bin/sh -c "kill -s {reload.removeprefix("SIG")} ${{MAINPID}}"'),)


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
    inside = places(config, service, release) | {"instance": NUMBER}
    program, *arguments = (fill(word, inside) for word in words)
    found = find_program(program, release, executables)
    if not found:
        raise missing_program(program, where=where)
    check_path(found, where=where)
    line = (*launcher(service, found, release, executables), found, *arguments)
    return " ".join(command_word(word) for word in line)


def _description(config: BundleConfig, service: Service, *, instance: str = "%i") -> str:
    """For units: escaped."""
    if service.numbers:
        return free_text(f"{config.description} ({service.name}") + f"{instance and f' {instance}'})"
    text = config.description if service.name == config.name else f"{config.description} ({service.name})"
    return free_text(text)

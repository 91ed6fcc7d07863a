"""Services -> units: which directives, with which values.

What each hardening directive costs and which programs it breaks was tried on systemd 247, 252 and 257; see
docs and systemd.exec(5). Values are escaped here, so that templates only print.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.config import PLACE
from bundler.errors import ConfigError
from bundler.target.delivery import beam_variables, environment_directives, launcher, needs_netlink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.config import BundleConfig, Service

__all__ = ["Section", "Unit", "make_units", "places", "service_environment"]

_HARDENING = (
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectProc", "invisible"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectControlGroups", "yes"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("RemoveIPC", "yes"),
    ("KeyringMode", "private"),
    ("DevicePolicy", "closed"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged"),
    ("SystemCallErrorNumber", "EPERM"),
    ("MemoryDenyWriteExecute", "yes"),
    ("UMask", "0077"),
)
_NOT_FOR = {"generic": frozenset({"MemoryDenyWriteExecute"})}
"""What a profile leaves out: a program that we do not know may compile at run time."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """``[name]`` and its directives, in order; a directive may come more than once."""

    name: str
    directives: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit file: its name, a comment for its head, its sections."""

    name: str
    comment: str
    sections: tuple[Section, ...]


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


def service_environment(config: BundleConfig, service: Service, release: str) -> tuple[tuple[str, str], ...]:
    """The service's own variables: what its profile needs, then what bundle.toml says."""
    where = places(config, service, release)
    variables: dict[str, str] = {}
    if service.table.profile == "beam":
        variables |= beam_variables(config, service, where["runtime"])
    variables |= {name: _fill(value, where) for name, value in service.table.environment.items()}
    return tuple(variables.items())


def make_units(config: BundleConfig, release: str, executables: frozenset[str]) -> tuple[Unit, ...]:
    """The units of all services and their health checks.

    ``release`` is the release's absolute path on the target, ``executables`` what can be run below it. Raises
    :class:`ConfigError` for a command that is in neither.
    """
    units = []
    for service in config.services:
        units.append(_service_unit(config, service, release, executables))
        if service.table.health:
            units.append(_health_unit(config, service, release))
    return tuple(units)


def _service_unit(config: BundleConfig, service: Service, release: str, executables: frozenset[str]) -> Unit:
    table = service.table
    limits = (("MemoryMax", table.memory_max), ("CPUQuota", table.cpu_quota))
    sections = {
        "Unit": (
            ("Description", _text(_description(config, service))),
            ("After", "network.target"),
            ("RequiresMountsFor", f"{config.root} /var/lib/{config.name}"),
            # More than burst x RestartSec, or the limit could never trip and a broken service loop for ever.
            ("StartLimitIntervalSec", "120"),
            ("StartLimitBurst", "5"),
        ),
        "Service": (
            ("Type", "exec"),  # a missing binary then fails `systemctl start`
            ("ExecStart", _command(config, service, release, executables)),
            ("Restart", table.restart),
            ("RestartSec", "5"),
            *((key, value) for key, value in limits if value),
            ("StateDirectory", config.name),
            ("CacheDirectory", config.name),
            ("LogsDirectory", config.name),
            ("RuntimeDirectory", service.name),
            ("WorkingDirectory", f"/var/lib/{config.name}"),
            ("SyslogIdentifier", service.name),
            *_common(config, service, release, service.unit),
        ),
        "Install": (("WantedBy", "multi-user.target"),),
    }
    for name, overrides in table.unit.items():
        sections[name] = _overridden(sections[name], overrides.items())
    return _unit(service.unit, config, release, sections)


def _health_unit(config: BundleConfig, service: Service, release: str) -> Unit:
    """A oneshot that asks the service once, as its user and in its environment, which expands ``${PORT}``."""
    health, unit = service.table.health, service.health_unit
    assert health is not None
    assert unit is not None
    sections = {
        "Unit": (
            ("Description", _text(f"Health of {_description(config, service)}")),
            ("After", service.unit),
            ("RequiresMountsFor", config.root),
            ("StartLimitIntervalSec", "0"),  # the install gate asks often
        ),
        "Service": (
            ("Type", "oneshot"),
            ("ExecStart", f"/bin/sh {release}/share/probe http {_word(health.http)} 5"),
            ("TimeoutStartSec", "15"),
            # systemd's own "Starting" and "Finished" of every probe would bury the log.
            ("LogLevelMax", "notice"),
            ("SyslogLevel", "notice"),
            ("SyslogIdentifier", unit.removesuffix(".service")),
            *_common(config, service, release, unit),
        ),
    }
    return _unit(unit, config, release, sections)


def _common(config: BundleConfig, service: Service, release: str, unit: str) -> tuple[tuple[str, str], ...]:
    """What a service and its health check, of which ``unit`` is one, share: user, environment, log, hardening."""
    skipped = _NOT_FOR.get(service.table.profile, frozenset())
    return (
        ("User", config.name),
        ("Group", config.name),
        *environment_directives(config, service, release, unit),
        # A start script that makes a cookie through a pipeline (`… | head -n 1`) would otherwise hang for ever.
        ("IgnoreSIGPIPE", "false"),
        ("StandardOutput", "journal"),
        ("StandardError", "journal"),
        *((key, value) for key, value in _HARDENING if key not in skipped),
        # Further lines add to the list.
        *((("RestrictAddressFamilies", "AF_NETLINK"),) if needs_netlink(config, service) else ()),
    )


def _unit(name: str, config: BundleConfig, release: str, sections: dict[str, tuple[tuple[str, str], ...]]) -> Unit:
    return Unit(
        name=name,
        comment=f"{config.name} {config.version}, release {release}. Made by conda-bundler; change it with a drop-in:"
        f" systemctl edit {name}",
        sections=tuple(Section(name=title, directives=lines) for title, lines in sections.items()),
    )


def _overridden(
    directives: tuple[tuple[str, str], ...], overrides: Iterable[tuple[str, str | tuple[str, ...]]]
) -> tuple[tuple[str, str], ...]:
    """``[services.x.unit.Service]``: the user's directives, verbatim, in place of ours of the same name."""
    given = {key: (value,) if isinstance(value, str) else value for key, value in overrides}
    kept = tuple((key, value) for key, value in directives if key not in given)
    return kept + tuple((key, value) for key, values in given.items() for value in values)


def _command(config: BundleConfig, service: Service, release: str, executables: frozenset[str]) -> str:
    where = places(config, service, release)
    program, *arguments = (_fill(word, where) for word in service.table.command)
    program = _absolute(program, service, release, executables)
    words = (*launcher(service, program, release, executables), program, *arguments)
    return " ".join(_word(word) for word in words)


def _absolute(program: str, service: Service, release: str, executables: frozenset[str]) -> str:
    """argv[0] as the unit needs it: looked up in env/bin, then in app/."""
    if program.startswith("/"):
        inside = program.removeprefix(f"{release}/")
        if inside == program or inside in executables:
            return program
    else:
        for candidate in (f"env/bin/{program}", f"app/{program}"):
            if candidate in executables:
                return f"{release}/{candidate}"
    raise ConfigError(
        f"there is no program {service.table.command[0]!r} in the environment's bin/ or among [files]",
        where=f"services.{service.name}.command",
        remedy="Add the package that has it to the environment, or the file to [files] (and make it executable).",
    )


def _description(config: BundleConfig, service: Service) -> str:
    return config.description if service.name == config.name else f"{config.description} ({service.name})"


def _fill(text: str, where: dict[str, str]) -> str:
    """``{app}`` -> its path, ``{{app}}`` -> ``{app}``."""
    return PLACE.sub(lambda found: found[1] or where[found[2]], text)


def _text(value: str) -> str:
    """A free text in a unit: ``%`` begins a specifier there, and a backslash at its end takes in the next line.

    A blank after it does not become part of the value (systemd.syntax(7)).
    """
    return value.replace("%", "%%") + (" " if value.endswith("\\") else "")


def _word(word: str) -> str:
    """One argument of a command line (systemd.service(5), "Command lines").

    ``${NAME}`` stays systemd's, to be expanded from the service's environment; any other ``$`` is literal.
    """
    escaped = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    escaped = re.sub(r"\$(?!\{[A-Za-z_][A-Za-z0-9_]*\})", "$$", escaped)
    return escaped if re.fullmatch(r"[\w@%+=:,./${}-]+", escaped, re.ASCII) else f'"{escaped}"'

"""A service's health check as units: one that asks, one that counts and restarts, a timer for that.

``x-health.service`` asks once, as the service's user and in its environment, which expands ``${PORT}``; the install
gate, ``manage status`` and ``smoke`` start it. ``x-health.timer`` starts ``x-watch.service``, which does the same and
counts. That one is root's, for only root may restart, and runs none of the bundle's own code. It also starts a service
again that has hit its start limit: systemd starts it then (``OnFailure=``), and the timer's state tells whether an
administrator has stopped the service. Where nobody is asked there is an ``x-watch.timer`` for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.config.fields import INSTANCE
from bundler.units.instances import own_name, unit_of
from bundler.units.sandbox import watch_confinement
from bundler.units.unitfile import NUMBER, command_word

if TYPE_CHECKING:
    from bundler.config.health import Health
    from bundler.config.project import BundleConfig
    from bundler.config.services import Service
    from bundler.units.context import UnitContext
    from bundler.units.unitfile import Lines, Sections

__all__ = ["health_notes", "health_sections", "timer_sections", "watch_sections"]

_LONGEST_PAUSE = 300
"""Seconds between two starts of a service that keeps failing; share/watch has the same."""


def health_notes(config: BundleConfig) -> tuple[str, ...]:
    """What a build says of services that are up without anybody knowing whether they do their job."""
    names = [one.name for one in config.services if one.kind == "exec" and not one.table.health]
    if not names:
        return ()
    seen = f"no health check: {', '.join(names)}; install.sh and manage status can only see that it stays up"
    return (
        f'{seen}. To have it asked: health = {{ http = "http://127.0.0.1:${{PORT}}/…" }}, tcp = … or command = […]',
    )


def health_sections(context: UnitContext, common: Lines, command: str) -> Sections:
    """The oneshot that asks. ``common`` is what it shares with the service, ``command`` replaces our probe."""
    service, health = context.service, context.service.table.health
    assert health is not None
    return {
        "Unit": (
            ("Description", f"Health of {context.description}"),
            ("After", own_name(service.unit)),
            # what the service has put into its /tmp is there for the command as well
            *((("JoinsNamespaceOf", own_name(service.unit)),) if command else ()),
            ("RequiresMountsFor", context.release),
            ("StartLimitIntervalSec", "0"),  # the install gate asks often
        ),
        "Service": (
            ("Type", "oneshot"),
            ("ExecStart", command or f"/bin/sh {context.release}/share/probe {_question(service, health)}"),
            ("TimeoutStartSec", str(health.probe_timeout + (0 if command else 10))),
            # systemd's own "Starting" and "Finished" of every probe would bury the log.
            ("LogLevelMax", "notice"),
            ("SyslogLevel", "notice"),
            ("SyslogIdentifier", _identifier(service.health_unit)),
            *common,
        ),
    }


def watch_sections(context: UnitContext) -> Sections:
    """The oneshot that has the service asked, counts, restarts it, and starts it again (share/watch)."""
    service, config, release = context.service, context.config, context.release
    health = service.table.health
    asks, patience = ["none", 0, 0, 0], 60
    if health is not None and service.health_timer:
        kind = "command" if health.command else "probe"
        asks = [kind, health.failures, health.restarts_per_hour, round(health.start_period + 0.5)]
        patience += health.probe_timeout
    if service.retried:
        patience += _LONGEST_PAUSE
    words = [_identifier(service.unit), config.name, *asks, "yes" if service.retried else "no"]
    return {
        "Unit": (
            ("Description", f"Restarts {context.description} when it has failed or stopped answering"),
            ("RequiresMountsFor", f"{release} /var/lib/conda-bundler"),
            ("StartLimitIntervalSec", "0"),
        ),
        "Service": (
            ("Type", "oneshot"),
            (
                "ExecStart",
                " ".join([f"/bin/sh {release}/share/watch", *map(str, (*words, *_dependants(service, config)))]),
            ),
            ("TimeoutStartSec", str(patience)),
            ("LogLevelMax", "notice"),
            ("SyslogIdentifier", _identifier(service.watch_unit)),
            # The installer's: its lock is there, and what we have counted.
            ("RuntimeDirectory", "conda-bundler"),
            ("RuntimeDirectoryMode", "0700"),
            ("RuntimeDirectoryPreserve", "yes"),
            ("PrivateNetwork", "yes"),
            *watch_confinement(),
        ),
    }


def timer_sections(context: UnitContext) -> Sections:
    """Runs while the service is to run: it starts and stops with it, and the admin may disable it."""
    service, description = context.service, context.description
    health = service.table.health
    if health is not None and service.health_timer:
        interval, about = health.interval, f"Asks every {health.interval} s whether {description} is well"
    else:
        interval, about = _LONGEST_PAUSE, f"Looks every {_LONGEST_PAUSE} s whether {description} has failed"
    return {
        "Unit": (
            ("Description", about),
            ("PartOf", own_name(service.unit)),
        ),
        "Timer": (
            ("OnActiveSec", str(interval)),
            ("OnUnitInactiveSec", str(interval)),
            ("AccuracySec", "1"),
            ("Unit", own_name(service.watch_unit or "")),
        ),
        "Install": (("WantedBy", own_name(service.unit)),),
    }


def _identifier(unit: str | None) -> str:
    return own_name(unit or "").removesuffix(".service")


def _question(service: Service, health: Health) -> str:
    words = ["tcp" if health.tcp else "http", service.health_url.removeprefix("tcp://")]
    if service.numbers:
        words[1] = words[1].replace(f"{{{INSTANCE}}}", NUMBER)
    words.append(str(health.probe_timeout))
    if health.http and (health.statuses or health.body):
        words.append(",".join(map(str, health.statuses)) or "-")
        words += [health.body] if health.body else []
    return " ".join(command_word(word) for word in words)


def _dependants(service: Service, config: BundleConfig) -> tuple[str, ...]:
    """Who requires it, however indirectly: they go down with it, so they have to be restarted with it.

    Who requires a service with instances requires its target, which goes down with none of them.
    """
    found: list[Service] = []
    pending = [service]
    while pending:
        wanted = pending.pop()
        if not wanted.numbers:
            new = [other for other in config.services if wanted.name in other.table.requires and other not in found]
            found += new
            pending += new
    return tuple(
        unit.removesuffix(".service")
        for other in found
        for unit in ([unit_of(other.unit, number) for number in other.numbers] or [other.unit])
    )

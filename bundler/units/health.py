"""A service's health check as units: the check itself, a watcher that counts failures and restarts, and its timer.

``x-health.service`` checks once, as the service's user and in its environment, where ``${PORT}`` is expanded;
install.sh, ``manage status`` and ``smoke`` start it. ``x-health.timer`` starts ``x-watch.service``, which runs the
check and counts failures. The watcher runs as root, since only root may restart units, and runs none of the bundle's
own code. It also restarts a service that has reached its start limit: systemd starts the watcher then (``OnFailure=``),
and the timer's state shows whether an administrator has stopped the service. For a service without a health check,
``x-watch.timer`` starts it.
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
    """The note of ``build`` on services without a health check."""
    names = [one.name for one in config.services if one.kind == "exec" and not one.table.health]
    if not names:
        return ()
    seen = f"no health check: {', '.join(names)}; install.sh and manage status can only tell whether it is running"
    return (f'{seen}. To add one: health = {{ http = "http://127.0.0.1:${{PORT}}/…" }}, tcp = … or command = […]',)


def health_sections(context: UnitContext, common: Lines, command: str) -> Sections:
    """The oneshot that checks. ``common`` is what it shares with the service; ``command`` replaces our probe."""
    service, health = context.service, context.service.table.health
    assert health is not None
    return {
        "Unit": (
            ("Description", f"Health check of {context.description}"),
            ("After", own_name(service.unit)),
            # the command sees the service's /tmp
            *((("JoinsNamespaceOf", own_name(service.unit)),) if command else ()),
            ("RequiresMountsFor", context.release),
            ("StartLimitIntervalSec", "0"),  # install.sh starts it often
        ),
        "Service": (
            ("Type", "oneshot"),
            ("ExecStart", command or f"/bin/sh {context.release}/share/probe {_question(service, health)}"),
            ("TimeoutStartSec", str(health.probe_timeout + (0 if command else 10))),
            # systemd's "Starting" and "Finished" of each check would flood the log.
            ("LogLevelMax", "notice"),
            ("SyslogLevel", "notice"),
            ("SyslogIdentifier", _identifier(service.health_unit)),
            *common,
        ),
    }


def watch_sections(context: UnitContext) -> Sections:
    """The oneshot that checks the service, counts failures, and restarts it (share/watch)."""
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
            ("Description", f"Restart {context.description} if it is unhealthy or has failed"),
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
            # The installer's directory: its lock and our counters are there.
            ("RuntimeDirectory", "conda-bundler"),
            ("RuntimeDirectoryMode", "0700"),
            ("RuntimeDirectoryPreserve", "yes"),
            ("PrivateNetwork", "yes"),
            *watch_confinement(),
        ),
    }


def timer_sections(context: UnitContext) -> Sections:
    """The timer starts and stops with the service; administrators may disable it."""
    service, description = context.service, context.description
    health = service.table.health
    if health is not None and service.health_timer:
        interval, about = health.interval, f"Check the health of {description} every {health.interval} s"
    else:
        interval, about = _LONGEST_PAUSE, f"Check every {_LONGEST_PAUSE} s whether {description} has failed"
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
    """The services that require it, directly or not: they stop with it, so they have to be restarted with it.

    What requires a service with instances requires its target, which keeps running when an instance stops.
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

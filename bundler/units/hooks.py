"""``[hooks]`` -> units: oneshots that install.sh starts (templates/lib/hooks.sh), as one of the services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.config.users import user_of
from bundler.units.network import needs_network

if TYPE_CHECKING:
    from bundler.config.namedhooks import Hook
    from bundler.config.project import BundleConfig
    from bundler.units.unitfile import Lines, Sections

__all__ = ["hook_sections"]

_ABOUT = {
    "before_switch": "Hook before the switch to {}",
    "after_switch": "Hook after the switch to {}",
    "back": "Hook before the rollback from {}",
}


def hook_sections(hook: Hook, config: BundleConfig, *, command: str, rights: Lines) -> Sections:
    """The oneshot of ``hook``; ``rights`` are the lines that it shares with its service.

    It is not ordered after any service: at boot, the services wait for it.
    """
    online = needs_network(config, hook.service)
    network = "network.target network-online.target" if online else "network.target"
    return {
        "Unit": (
            ("Description", _ABOUT[hook.key].format(f"{config.name} {config.version}".replace("%", "%%"))),
            ("After", network),
            *((("Wants", "network-online.target"),) if online else ()),
            ("RequiresMountsFor", f"{config.root} /var/lib/{user_of(config, hook.service)}"),
            ("StartLimitIntervalSec", "0"),
        ),
        "Service": (
            ("Type", "oneshot"),
            ("ExecStart", command),
            ("TimeoutStartSec", str(hook.table.timeout)),
            ("SyslogIdentifier", hook.unit.removesuffix(".service")),
            # It belongs to the service, which may be running: it must not be removed when this unit ends.
            ("RuntimeDirectoryPreserve", "yes"),
            *rights,
            ("EnvironmentFile", f"-/run/conda-bundler/{config.name}.hook"),  # HOOK_FROM_VERSION, HOOK_TO_VERSION
        ),
    }

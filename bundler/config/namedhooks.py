"""The hooks of a bundle with their units and the service that they run as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.config.hooks import HooksTable, HookTable
    from bundler.config.services import Service

__all__ = ["Hook", "named_hooks"]


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A hook: its key in ``[hooks]``, its unit's name, the service that it runs as, and its table."""

    key: str
    unit: str
    service: Service
    table: HookTable


def named_hooks(bundle: str, table: HooksTable, services: tuple[Service, ...]) -> tuple[Hook, ...]:
    """The hooks of a bundle with that name; none if the service that they run as is unknown."""
    name = table.service or (services[0].name if len(services) == 1 else None)
    service = next((one for one in services if one.name == name), None)
    if service is None:
        return ()
    return tuple(
        Hook(key=key, unit=f"{bundle}-hook-{key.replace('_', '-')}.service", service=service, table=hook)
        for key, hook in table.given.items()
    )

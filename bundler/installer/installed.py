"""Services -> what install.sh is told of them, and the files in which each sets its environment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bundler.config.instances import numbered
from bundler.config.users import user_of
from bundler.installer.render import InstallService, render_environment
from bundler.units.caches import cache_variables
from bundler.units.context import UnitContext
from bundler.units.instances import unit_of
from bundler.units.service import service_environment

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bundler.config.project import BundleConfig, Service

__all__ = ["install_services", "service_files"]


def service_files(config: BundleConfig, release: str, packages: AbstractSet[str]) -> dict[str, str]:
    """What each service, or each of its instances, sets for itself, by its path in the bundle.

    A service with a user of its own cannot write where activation says that ``packages`` keep their caches.
    """
    found = {}
    for service in config.services:
        context = UnitContext(config=config, service=service, release=release)
        caches = cache_variables(packages, user_of(config, service)) if service.table.own_user else ()
        own = tuple((name, value) for name, value in caches if name not in dict(config.config))
        for number in service.numbers or (None,):
            unit = unit_of(service.unit, number) if number else service.unit
            entries = dict(own) | dict(service_environment(context, number))
            found[f"config/{unit}.env"] = render_environment(
                tuple(entries.items()), comment=f"What {unit} sets for itself"
            )
    return found


def install_services(service: Service) -> tuple[InstallService, ...]:
    """What install.sh must know of ``service``: one entry, or one for each instance."""
    health = service.table.health
    one = InstallService(
        unit=service.unit,
        health_unit=service.health_unit or "",
        start_period=health.start_period if health else 0,
        timeout=health.timeout if health else 0,
        url=service.health_url,
    )
    if not service.numbers:
        return (one,)
    return tuple(
        replace(
            one,
            unit=unit_of(one.unit, number),
            health_unit=unit_of(one.health_unit, number),
            url=numbered(one.url, number),
        )
        for number in service.numbers
    )

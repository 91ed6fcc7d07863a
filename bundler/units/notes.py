"""Notes of ``build`` on the overrides in bundle.toml: which defaults they replace, and which have no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.systemd.accumulating import since
from bundler.systemd.directives import DIRECTIVES
from bundler.systemd.words import split_words
from bundler.units.context import UnitContext
from bundler.units.sandbox import is_on
from bundler.units.service import overridden, service_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig
    from bundler.units.contents import Contents

__all__ = ["TESTED", "override_notes"]

TESTED = 247
"""Directives that this version of systemd supports get no note."""


def override_notes(config: BundleConfig, release: str, contents: Contents) -> tuple[str, ...]:
    """The notes; ``release`` is the release's path on the server."""
    contexts = (
        UnitContext(config=config, service=service, release=release, contents=contents) for service in config.services
    )
    return tuple(note for context in contexts for note in _of_service(context))


def _of_service(context: UnitContext) -> Iterator[str]:
    config, service, where = context.config, context.service, context.key("unit")
    for gone in overridden(context):
        ours = ", ".join(f"{gone.directive}={value}".replace(f"{context.release}/", "") for value in gone.ours)
        yield f"{where}.{gone.section}.{gone.directive} replaces {ours}"
    for section in DIRECTIVES:
        for directive, lines in service.table.unit.lines(section).items():
            version = max((since(directive, line) for line in lines), default=0)
            if version > TESTED:
                yield f"{where}.{section}.{directive}: systemd before {version} ignores it"
    yield from _in_vain(context)
    stronger = {name: "[config]" for name, _ in config.config}
    stronger |= dict.fromkeys(service.table.environment, f"services.{service.name}.environment")
    own = service_environment(context)
    stronger = {name: f"the profile {service.table.profile}" for name, _ in own} | stronger
    for line in service.table.unit.lines("Service").get("Environment", ()):
        for name in (word.text.partition("=")[0] for word in split_words(line)):
            if name in stronger:
                yield f"{where}.Service.Environment: {name} has no effect, since {stronger[name]} sets it; set it there"


def _in_vain(context: UnitContext) -> Iterator[str]:
    """Overrides that another directive of the sandbox makes ineffective."""
    lines = context.service.table.unit.lines("Service")
    for directive, other in (("AmbientCapabilities", "PrivateUsers"), ("DeviceAllow", "PrivateDevices")):
        given = [line for line in lines.get(directive, ()) if line]
        if given and is_on(context.service, context.contents, other):
            yield (
                f"{context.key('unit')}.Service.{directive}: {given[-1]} has no effect while {other} is on; if it is"
                f" needed, set {other} = false as well"
            )

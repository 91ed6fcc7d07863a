"""Instances of a service: a template ``x@.service``, its instances ``x@1.service`` and so on, and one ``x.target``.

In a template ``%i`` is the number of the instance (systemd.unit(5)). Instances are enabled as ``.wants`` of the target,
which starts and stops them, except those that an administrator has disabled. The key X-Instances, which systemd
ignores, tells install.sh how many there are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.config.project import Service
    from bundler.units.context import UnitContext
    from bundler.units.unitfile import Lines, Sections

__all__ = ["of_instance", "own_name", "target_sections", "template_lines", "unit_of"]

_NUMBER = re.compile(r"%(%|i)")


def own_name(unit: str) -> str:
    """How a template refers to a unit of its own instance: ``x@.service`` -> ``x@%i.service``; others are unchanged."""
    return unit.replace("@.", "@%i.")


def unit_of(unit: str, number: int) -> str:
    """The name of an instance of a template: ``x@.service`` -> ``x@3.service``."""
    return unit.replace("@.", f"@{number}.")


def of_instance(lines: Lines, number: int) -> Lines:
    """A template's lines with the number filled in, for a unit that is not a template itself."""

    def written(found: re.Match[str]) -> str:
        return str(number) if found[1] == "i" else "%%"

    return tuple((key, _NUMBER.sub(written, value)) for key, value in lines)


def template_lines(service: Service) -> Lines:
    """The additional lines in ``[Unit]`` of each of its templates."""
    return (("X-Instances", str(len(service.numbers))),) if service.numbers else ()


def target_sections(context: UnitContext) -> Sections:
    """The target. What it starts are the links in its ``.wants``."""
    return {
        "Unit": (("Description", f"All instances of {context.description_of_all}"),),
        "Install": (("WantedBy", "multi-user.target"),),
    }

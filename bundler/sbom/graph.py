"""The dependency graph of locked packages, from their metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bundler.about.facts import Facts
    from bundler.locked import LockedPackage

__all__ = ["needs", "roots"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def needs(
    packages: Collection[LockedPackage],
    facts: Mapping[LockedPackage, Facts | None],
    projects: Mapping[str, LockedPackage],
) -> dict[LockedPackage, tuple[LockedPackage, ...]]:
    """Each package's dependencies, without those that are not locked (virtual packages, say).

    ``projects`` maps names of PyPI projects to packages, since a wheel may depend on a conda package.
    """
    conda = {package.name: package for package in packages if package.manager == "conda"}
    wheels = {canonicalize_name(package.name): package for package in packages if package.manager != "conda"}
    found: dict[LockedPackage, tuple[LockedPackage, ...]] = {}
    for package in packages:
        about = facts.get(package)
        said = package.depends or (about.depends if about else ())
        names = [name[0] for one in said if (name := _NAME.match(one))]
        if package.manager == "conda":
            needed = [conda[name] for name in names if name in conda]
        else:
            keys = map(canonicalize_name, names)
            needed = [one for key in keys if (one := wheels.get(key) or projects.get(key) or conda.get(key))]
            needed += [conda["python"]] if "python" in conda else []
        found[package] = tuple(dict.fromkeys(one for one in needed if one != package))
    return found


def roots(graph: Mapping[LockedPackage, Collection[LockedPackage]]) -> tuple[LockedPackage, ...]:
    """Packages from which all others can be reached: those that no other needs, and one of each isolated cycle."""
    needed = {one for ones in graph.values() for one in ones}
    found = [package for package in graph if package not in needed]
    reached: set[LockedPackage] = set()
    for package in (*found, *graph):
        if package in reached:
            continue
        if package not in found:
            found.append(package)
        pending = [package]
        while pending:
            one = pending.pop()
            if one not in reached:
                reached.add(one)
                pending += graph.get(one, ())
    return tuple(found)

"""Who needs whom among locked packages, by what each says that it depends on."""

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
    """For each package those that it needs; what is not locked (a virtual package, say) is left out.

    ``projects`` are the packages that have a project of PyPI, by its name: a wheel may need one that is a conda
    package.
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
    """Those that nobody needs, and of circles that are needed from nowhere the first: from them all are reached."""
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

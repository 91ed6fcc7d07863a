"""The table of projects: which are installed together, and what each is to do."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["PROJECTS", "Group", "Project", "groups", "read_groups"]

PROJECTS = Path(__file__).with_name("projects.toml")
_KEYS = {"statement", "requires", "seconds"}


@dataclass(frozen=True, kw_only=True)
class Project:
    """``requires`` is what pip is asked for; ``statement`` is Python that fails unless the project does its job.

    ``seconds`` is how long it may take.
    """

    name: str
    statement: str
    requires: tuple[str, ...]
    seconds: int = 120

    @property
    def unit(self) -> str:
        """What its service is called."""
        return "sweep-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower())


@dataclass(frozen=True, kw_only=True)
class Group:
    """Projects that have one environment."""

    name: str
    projects: tuple[Project, ...]

    @property
    def requires(self) -> tuple[str, ...]:
        return tuple(sorted({one for project in self.projects for one in project.requires}))

    def only(self, names: Collection[str] | None) -> Group:
        """The group with those of its projects that are named; with all of them unless any are."""
        if names is None:
            return self
        return replace(self, projects=tuple(one for one in self.projects if one.name in names))


def groups() -> tuple[Group, ...]:
    """All that are in the table."""
    return read_groups(tomllib.loads(PROJECTS.read_text("utf-8")))


def read_groups(document: dict[str, dict[str, dict[str, Any]]]) -> tuple[Group, ...]:
    """Raises ValueError for a key that is not known, a missing statement, or two projects of one unit."""
    found = tuple(
        Group(name=name, projects=tuple(_project(project, entry) for project, entry in projects.items()))
        for name, projects in document.items()
    )
    units = [project.unit for group in found for project in group.projects]
    if twice := {unit for unit in units if units.count(unit) > 1}:
        raise ValueError(f"projects of the same name: {', '.join(sorted(twice))}")
    return found


def _project(name: str, entry: dict[str, Any]) -> Project:
    if unknown := entry.keys() - _KEYS:
        raise ValueError(f"{name}: unknown keys: {', '.join(sorted(unknown))}")
    if not entry.get("statement", "").strip():
        raise ValueError(f"{name}: it has no statement")
    return Project(
        name=name,
        statement=entry["statement"],
        requires=tuple(entry.get("requires", [name])),
        seconds=entry.get("seconds", 120),
    )

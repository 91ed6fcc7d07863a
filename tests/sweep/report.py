"""What a sweep has found, as JSON and as a page of the documentation; a later run of some groups adds to it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from sweep.run import Result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["faults", "merged", "page", "read_results", "write_results"]

_HEAD = """\
# Which projects run under our confinement

`make sweep` installs compiled projects as wheels, in groups that have one environment each, and has every one do its
job: by hand, as the service's user without any confinement, and as a service with our defaults, on systemd 252 (Debian
12) and 257 (Debian 13). {count} of {total} projects of `tests/sweep/projects.toml` are in this table.

| group | project | by hand | as a service |
| --- | --- | --- | --- |
"""


def read_results(path: Path) -> list[Result]:
    """Those of earlier runs; none if there is no such file."""
    if not path.is_file():
        return []
    entries = json.loads(path.read_text("utf-8"))
    return [Result(**{**entry, "exemptions": tuple(entry["exemptions"])}) for entry in entries]


def write_results(results: Iterable[Result], path: Path) -> None:
    path.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n", encoding="utf-8")


def merged(earlier: Iterable[Result], now: Iterable[Result]) -> list[Result]:
    """Both, sorted; of a group that was run now nothing earlier stays."""
    new = list(now)
    again = {one.group for one in new}
    kept = [one for one in earlier if one.group not in again]
    return sorted([*kept, *new], key=lambda one: (one.group, one.project, one.systemd))


def faults(results: Iterable[Result]) -> list[Result]:
    """What works by hand and not as a service."""
    return [one for one in results if one.by_hand and not one.as_service]


def page(results: list[Result], total: int) -> str:
    """In Markdown. ``total`` is how many projects there are."""
    projects: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        projects.setdefault((one.group, one.project), []).append(one)
    rows = [
        f"| {group} | {project} | {_told(found, 'by_hand')} | {_told(found, 'as_service')} |\n"
        for (group, project), found in projects.items()
    ]
    exemptions = {one.group: one.exemptions for one in results}
    groups = [f"\n## {group}\n\n{_exemptions(found)}" for group, found in exemptions.items()]
    head = _HEAD.format(count=len(projects), total=total)
    return "".join([head, *rows, "\nWhat each environment's services are confined less in, and why:\n", *groups])


def _told(found: list[Result], what: str) -> str:
    """``yes``, ``no``, or on which systemd it is not."""
    failed = [str(one.systemd) for one in found if not getattr(one, what)]
    if not failed:
        return "yes"
    return "no" if len(failed) == len(found) else f"not on systemd {', '.join(failed)}"


def _exemptions(found: tuple[str, ...]) -> str:
    return "".join(f"- {one}\n" for one in found) or "Nothing.\n"

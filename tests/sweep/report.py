"""What a sweep has found, as JSON and as a page of the documentation; a run of some leaves the others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.run import Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sweep.table import Group

__all__ = ["RESULTS", "faults", "merged", "page", "read_results", "write_results"]

RESULTS = Path(__file__).with_name("results.json")
_HEAD = """\
# Which projects run under our confinement

<!-- Written by `make sweep`; change tests/sweep instead. -->

`make sweep` installs compiled projects as wheels, each with what it needs into an environment of its own, and has every
one do its job: by hand, as the service's user without any confinement, and as a service, on systemd {systemds}. The
service's unit is the one that our code makes from what the files of that environment say. The jobs are in
`tests/sweep/projects.toml`.

**{served} of the {by_hand} projects that work by hand work as a service**; {total} were tried.

*Not applied* is what the service does without and the mark that says so, with the first file that has it. *Needed* is
whether this job fails if it is applied all the same: a library may be able to compile code and not do so for this job.

| group | project | by hand | as a service | not applied | needed |
| --- | --- | --- | --- | --- | --- |
"""
_FAILED = "\n## What failed, and how it ended\n\n"


def read_results(path: Path) -> list[Result]:
    """Those of earlier runs; none if there is no such file."""
    if not path.is_file():
        return []
    entries = json.loads(path.read_text("utf-8"))
    return [Result(**{**entry, "exemptions": tuple(entry["exemptions"])}) for entry in entries]


def write_results(results: Iterable[Result], path: Path) -> None:
    path.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n", encoding="utf-8")


def merged(earlier: Iterable[Result], now: Iterable[Result], groups: Iterable[Group]) -> list[Result]:
    """Both, sorted; of a project that was run now nothing earlier stays, nor of one that is in no group any more."""
    new = list(now)
    left = {(group.name, one.name) for group in groups for one in group.projects} - {
        (one.group, one.project) for one in new
    }
    kept = [one for one in earlier if (one.group, one.project) in left]
    return sorted([*kept, *new], key=lambda one: (one.group, one.project, one.systemd))


def faults(results: Iterable[Result]) -> list[Result]:
    """What works by hand and not as a service."""
    return [one for one in results if one.by_hand and not one.as_service]


def page(results: list[Result]) -> str:
    """In Markdown."""
    projects: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        projects.setdefault((one.group, one.project), []).append(one)
    by_hand = [found for found in projects.values() if any(one.by_hand for one in found)]
    head = _HEAD.format(
        systemds=" and ".join(str(one) for one in sorted({one.systemd for one in results})),
        served=sum(not faults(found) for found in by_hand),
        by_hand=len(by_hand),
        total=len(projects),
    )
    rows = [
        f"| {group} | {project} | {_told(found, 'by_hand')} | {_told(found, 'as_service')} "
        f"| {_cell('; '.join(found[0].exemptions))} | {_needed(found)} |\n"
        for (group, project), found in projects.items()
    ]
    failed = [
        f"- {one.project}, systemd {one.systemd}, {'as a service' if one.by_hand else 'by hand'}: `{_cell(one.said)}`\n"
        for one in results
        if not (one.by_hand and one.as_service)
    ]
    return "".join([head, *rows, *([_FAILED, *failed] if failed else [])])


def _told(found: list[Result], what: str) -> str:
    """``yes``, ``no``, or on which systemd it is not."""
    failed = [str(one.systemd) for one in found if not getattr(one, what)]
    if not failed:
        return "yes"
    return "no" if len(failed) == len(found) else f"not on systemd {', '.join(failed)}"


def _needed(found: list[Result]) -> str:
    if not found[0].exemptions or not any(one.as_service for one in found):
        return ""
    return "yes" if any(one.strict is False for one in found) else "not by this job"


def _cell(text: str) -> str:
    """On one line, and no end of a cell or of code."""
    return " ".join(text.replace("|", "\\|").replace("`", "'").split())

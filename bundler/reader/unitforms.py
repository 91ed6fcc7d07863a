"""Does systemd read in a bundle's units what ``inspect`` and ``verify`` read there, and what of it is root's?

A unit can be written in many ways: lines that go on in the next one, sections that come again, blanks and carriage
returns. Ours are written in one, which is the one that we read. What they run as root is told, for digests speak for a
command line that somebody has put there as well as for ours.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from bundler.installer.render import render_unit
from bundler.units.unitfile import Section, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.units.read import UnitText

__all__ = ["is_as_written", "root_commands", "stranger"]

_DIRECTIVE = re.compile(r"(X-)?[A-Z][A-Za-z0-9]*")
_ODD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|\\$")
_ROOT = frozenset({"", "root", "0"})


def is_as_written(unit: UnitText, text: str) -> bool:
    """Whether ``text`` is, byte for byte, what our template makes of what was read in it as ``unit``."""
    lines = [(section, _divided(line)) for section, line in _lines(text)]
    if any(not _DIRECTIVE.fullmatch(key) or _ODD.search(value) for _, (key, value) in lines):
        return False
    titles = re.findall(r"^\[([A-Za-z]+)\]$", text, re.MULTILINE)
    if len(titles) != len(set(titles)):
        return False
    sections = [
        Section(name=title, directives=tuple(row[1] for row in rows))
        for title, rows in groupby(lines, key=lambda row: row[0])
        if title
    ]
    head = text.partition("\n")[0]
    if not head.startswith("# ") or [section.name for section in sections] != titles or _ODD.search(head):
        return False
    return render_unit(Unit(name=unit.name, comment=head.removeprefix("# "), sections=tuple(sections))) == text


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line of a section, with the section's name."""
    section = ""
    for line in text.split("\n")[1:]:
        if line.startswith("["):
            section = line[1:-1]
        elif line:
            yield section, line


def _divided(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key, value


def root_commands(unit: UnitText) -> tuple[str, ...]:
    """The command lines of a unit that systemd runs with root's rights, as ``DIRECTIVE=line``."""
    whole = unit.get("Service", "User") in _ROOT and not unit.get("Service", "DynamicUser")
    return tuple(
        f"{key}={value}"
        for section, key, value in unit.directives
        if key.startswith("Exec") and key not in ("ExecPaths", "ExecSearchPath") and value
        if whole or section != "Service" or set(re.match(r"[-@:+!|]*", value)[0]) & set("+!")  # type: ignore[index]
    )


def stranger(unit: UnitText, users: frozenset[str]) -> str:
    """The user or group that a unit runs as, if it is neither root's nor one of ``users``; else empty."""
    said = [value for _, key, value in unit.directives if key in ("User", "Group")]
    return next((one for one in said if one not in _ROOT and one not in users), "")

"""``[services.x.unit]`` laid over the directives of ours, as systemd lays a drop-in over a unit (systemd.unit(5)).

A directive that accumulates is added to ours, an empty string takes away what is before it; any other replaces ours.
Two differences: an EnvironmentFile goes before the operator's file and the secrets, which keep the last word, and of a
bundle's directories one list is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import ConfigError
from bundler.systemd.accumulating import accumulates, is_whole
from bundler.systemd.words import split_words
from bundler.units.ownplaces import DIRECTORIES, nested
from bundler.units.programs import SERVER_PROGRAMS, check_path, find_program, missing_program
from bundler.units.unitfile import Lines, fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["COMMANDS", "Replaced", "command_line", "lay_over"]

COMMANDS = frozenset({"ExecCondition", "ExecReload", "ExecStartPost", "ExecStartPre", "ExecStop", "ExecStopPost"})
"""Directives whose lines are commands."""
_PREFIXES = re.compile(r"[-@:+!|]*")


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """Lines of ours that an override has taken away, and what is there instead; both without the directive's name."""

    section: str
    directive: str
    ours: tuple[str, ...]
    now: tuple[str, ...]


def lay_over(section: str, ours: Lines, overrides: Mapping[str, tuple[str, ...]]) -> tuple[Lines, tuple[Replaced, ...]]:
    """The lines of ``[section]`` with ``overrides``, whose places are filled in; and what of ours is gone."""
    lines, replaced = ours, []
    for directive, given in overrides.items():
        before = tuple(value for key, value in lines if key == directive)
        if accumulates(section, directive):
            lines, gone = _added(lines, directive, given)
        else:
            now = tuple(filter(None, given[-1:]))  # an empty one is systemd's own default
            lines = (*(line for line in lines if line[0] != directive), *((directive, value) for value in now))
            gone = tuple(value for value in before if value not in now)
        if gone:
            left = tuple(value for key, value in lines if key == directive)
            replaced.append(Replaced(section=section, directive=directive, ours=gone, now=left))
    return lines, tuple(replaced)


def _added(lines: Lines, directive: str, given: tuple[str, ...]) -> tuple[Lines, tuple[str, ...]]:
    """Of a directive that accumulates: all lines, and those of ours that are gone."""
    gone: tuple[str, ...] = ()
    resets = [index for index, value in enumerate(given) if not value or is_whole(directive, value)]
    if resets:
        last = resets[-1]
        # An empty line that is followed by others says nothing more: what is before it has been left out.
        given = given[last + (0 if given[last] or last == len(given) - 1 else 1) :]
        kept = tuple((key, value) for key, value in lines if key != directive or _is_operators(directive, value))
        gone = tuple(value for key, value in lines if key == directive and (key, value) not in kept)
        lines = kept
        if given == ("",) and not _means_something(directive):
            given = ()
    if directive in DIRECTORIES:
        return _one_list(lines, directive, given), gone
    if directive == "Environment":
        gone += _reassigned(lines, given)
    place = len(lines)
    if directive == "EnvironmentFile":
        place = next((index for index, (key, value) in enumerate(lines) if _is_operators(key, value)), place)
    return (*lines[:place], *((directive, value) for value in given), *lines[place:]), gone


def _means_something(directive: str) -> bool:
    """Whether an empty line says more than that there is none: the empty set is another one than the default."""
    return directive in ("CapabilityBoundingSet", "AmbientCapabilities", "SystemCallArchitectures")


def _is_operators(directive: str, value: str) -> bool:
    """Settings and secrets of the server's own, which win over what any bundle says."""
    return directive == "EnvironmentFile" and value.removeprefix("-").startswith("/etc/")


def _one_list(lines: Lines, directive: str, given: tuple[str, ...]) -> Lines:
    """Further directories beside ours. The service's variable would have all of them; it keeps the one."""
    found = {key: value for key, value in lines if key == directive}
    words = tuple(dict.fromkeys(" ".join([found.get(directive, ""), *given]).split()))
    merged = " ".join(words)
    result = tuple((key, merged if key == directive else value) for key, value in lines)
    if directive not in found:
        result = (*result, (directive, merged))
    variable = directive.removesuffix("Directory").upper() + "_DIRECTORY"
    told = any(key == "Environment" and value.startswith(f"{variable}=") for key, value in result)
    if len(set(words) - set(nested(words))) < 2 or told or directive == "LogsDirectory":
        return result
    return (*result, ("Environment", f"{variable}={DIRECTORIES[directive]}/{words[0]}"))


def _reassigned(lines: Lines, given: tuple[str, ...]) -> tuple[str, ...]:
    """Our assignments whose variable gets another value."""
    ours = _assignments(value for key, value in lines if key == "Environment")
    theirs = _assignments(given)
    return tuple(f"{name}={ours[name]}" for name in ours if theirs.get(name, ours[name]) != ours[name])


def _assignments(values: Iterable[str]) -> dict[str, str]:
    words = (word.text.partition("=") for value in values for word in split_words(value))
    return {name: value for name, _, value in words}


def command_line(
    line: str, where: str, *, places: Mapping[str, str], release: str, executables: AbstractSet[str]
) -> str:
    """A line of one of COMMANDS, its places filled in and its programs absolute (systemd.service(5), "Command lines").

    A program's name alone is looked up as ``command`` does it; servers' own may stand by their names. Raises
    :class:`ConfigError` for a program that is nowhere, and for one of the bundle's that is to run as root.
    """
    if not line:
        return ""
    filled = fill(line, dict(places))
    result, taken, first = "", 0, True
    for word in split_words(filled):
        if word.text == ";" and filled[word.start : word.end] == ";":
            first = True
            continue
        if not first:
            continue
        first = False
        prefix = _PREFIXES.match(word.text)
        assert prefix is not None
        name = word.text[prefix.end() :]
        if not name:
            raise ConfigError(f"{line!r} has no program", where=where, remedy="Write the program behind the prefix.")
        if set(prefix[0]) & set("+!") and release in filled:
            raise ConfigError(
                f"{line!r} would run files of the bundle as root",
                where=where,
                remedy=f"Take the {prefix[0].strip('-@:|')} away: what is in a bundle runs as its own user.",
            )
        found = find_program(name.replace("%%", "%"), release, executables)
        check_path(name, where=where)
        if found is None and name not in SERVER_PROGRAMS:
            raise missing_program(name.removeprefix(f"{release}/"), where=where)
        if found and not name.startswith("/"):
            result += filled[taken : word.start] + prefix[0] + found.replace("%", "%%")
            taken = word.end
    return result + filled[taken:]

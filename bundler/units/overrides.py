"""``[services.x.unit]`` applied to our directives as systemd applies a drop-in to a unit (systemd.unit(5)).

Directives that accumulate are added to ours, and an empty string removes all before it; any other replaces ours. Two
differences: an EnvironmentFile comes before the operator's file and the secrets, which override it, and directories
are merged into one list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.systemd.accumulating import accumulates, is_whole
from bundler.systemd.words import split_words
from bundler.units.commands import COMMANDS, override_line
from bundler.units.ownplaces import DIRECTORIES, nested

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundler.units.context import UnitContext
    from bundler.units.unitfile import Lines, Sections

__all__ = ["Replaced", "lay_over", "overridden_sections", "shared_overrides"]

_OF_HEALTH = frozenset(
    """
    AppArmorProfile BindPaths BindReadOnlyPaths Environment EnvironmentFile IPAddressAllow IPAddressDeny
    IPCNamespacePath InaccessiblePaths NetworkNamespacePath PassEnvironment PrivateDevices PrivateMounts PrivateNetwork
    PrivateTmp PrivateUsers ProcSubset ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs
    ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyPaths ReadWritePaths
    RestrictAddressFamilies RestrictFileSystems RestrictNamespaces RootDirectory RootImage SELinuxContext
    SupplementaryGroups SystemCallFilter TemporaryFileSystem UnsetEnvironment MemoryDenyWriteExecute
    """.split()  # noqa: SIM905 -- a list of forty strings would be read by nobody
)
"""Overrides of a service that also apply to its health check and its hooks: user, root directory, rights."""


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """Values of ours that an override has removed, and their replacements, both without the directive's name."""

    section: str
    directive: str
    ours: tuple[str, ...]
    now: tuple[str, ...]


def overridden_sections(
    context: UnitContext, sections: Sections, titles: tuple[str, ...]
) -> tuple[Sections, tuple[Replaced, ...]]:
    """``sections`` with the service's overrides of those named in ``titles``, and what these replaced."""
    laid = dict(sections)
    replaced: list[Replaced] = []
    for title in titles:
        if title in sections:
            laid[title], gone = lay_over(title, sections[title], _filled(context, title))
            replaced += gone
    return laid, tuple(replaced)


def shared_overrides(context: UnitContext, lines: Lines) -> Lines:
    """``[Service]`` of a health check or a hook, with the service's overrides that also apply to it."""
    shared = {key: said for key, said in _filled(context, "Service").items() if key in _OF_HEALTH}
    return lay_over("Service", lines, shared)[0]


def _filled(context: UnitContext, section: str) -> dict[str, tuple[str, ...]]:
    """``[services.x.unit.<section>]`` filled in; programs are looked up if the context has the executables."""
    found = {}
    for directive, lines in context.service.table.unit.lines(section).items():
        if section == "Service" and directive in COMMANDS and context.executables is not None:
            where = context.key(f"unit.Service.{directive}")
            found[directive] = tuple(override_line(context, line, where) for line in lines)
        else:
            found[directive] = tuple(map(context.fill, lines))
    return found


def lay_over(section: str, ours: Lines, overrides: Mapping[str, tuple[str, ...]]) -> tuple[Lines, tuple[Replaced, ...]]:
    """The lines of ``[section]`` with ``overrides``, whose placeholders are filled in; and what they replaced."""
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
    """Whether an empty value differs from no line at all: the empty set is not the default."""
    return directive in ("CapabilityBoundingSet", "AmbientCapabilities", "SystemCallArchitectures")


def _is_operators(directive: str, value: str) -> bool:
    """Whether it is the server's own settings or secrets, which override the bundle's."""
    return directive == "EnvironmentFile" and value.removeprefix("-").startswith("/etc/")


def _one_list(lines: Lines, directive: str, given: tuple[str, ...]) -> Lines:
    """One line with our directories and the added ones; the variable for the service keeps naming only ours."""
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
    """Our assignments whose variable gets a different value."""
    ours = _assignments(value for key, value in lines if key == "Environment")
    theirs = _assignments(given)
    return tuple(f"{name}={ours[name]}" for name in ours if theirs.get(name, ours[name]) != ours[name])


def _assignments(values: Iterable[str]) -> dict[str, str]:
    words = (word.text.partition("=") for value in values for word in split_words(value))
    return {name: value for name, _, value in words}

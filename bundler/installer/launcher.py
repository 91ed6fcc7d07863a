"""A service's unit -> its launcher: what it says, as calls of manage's functions, for a server without systemd.

``bin/run-SERVICE`` there is ``manage run SERVICE``, which reads the launcher of the current release: what a
shell on the server would have to parse is worked out here. It is made of the unit's own text, whatever made that so,
and ``verify`` makes it again of the text that is in the bundle.
"""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.installer.render import render_launcher
from bundler.systemd.calendar import seconds_of
from bundler.systemd.words import split_words
from bundler.units.read import UnitText

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LAUNCHERS", "Before", "Launcher", "launchers"]

LAUNCHERS = "launch/"
"""Where they lie, in a bundle and in a release; each is called as its service."""
_DIRECTORIES = (
    ("STATE", "/var/lib", "StateDirectory"),
    ("CACHE", "/var/cache", "CacheDirectory"),
    ("LOGS", "/var/log", "LogsDirectory"),
    ("RUNTIME", "/run", "RuntimeDirectory"),
)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PIECE = re.compile(rf"\$\$|%%|\$\{{({_NAME})\}}|[^$%]+|.", re.DOTALL)
_BY_DEFAULT = 90
"""Seconds that systemd gives a service to start (DefaultTimeoutStartSec=)."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """A line of ``ExecStartPre=``; ``words`` are shell, and nothing if it cannot be run without systemd."""

    line: str
    words: str
    may_fail: bool


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """What the template prints. Words are shell already, values are not quoted yet.

    ``limit`` are the seconds that each of ``before`` has, empty if there is no end to them.
    """

    unit: str
    user: str
    group: str
    umask: str
    directory: str
    directories: tuple[tuple[str, str, str, str], ...]
    """The variable's beginning, the directory above, names below that with blanks between, their mode or nothing."""
    variables: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, bool], ...]
    """Each EnvironmentFile, and whether it may be missing."""
    unset: tuple[str, ...]
    credentials: tuple[tuple[str, str], ...]
    before: tuple[Before, ...]
    limit: str
    start: str
    reload: str
    reload_line: str
    """As the unit has it, for people."""


def launchers(services: Iterable[str], units: Mapping[str, str]) -> dict[str, str]:
    """The launcher of each of ``services``, units or instances of them, by its path in the bundle.

    ``units`` are the texts of all units by their paths in the bundle.
    """
    found = {}
    for service in services:
        if (text := units.get(f"units/{_file_of(service)}")) is None:
            continue  # of a bundle that is not whole
        launcher = _launcher(UnitText.parse(service, _of_instance(text, service)))
        found[f"{LAUNCHERS}{service.removesuffix('.service')}"] = render_launcher(launcher)
    return found


def _file_of(unit: str) -> str:
    return re.sub("@[0-9]+", "@", unit)


def _of_instance(text: str, unit: str) -> str:
    """With the number of an instance in the place of ``%i``."""
    _, mark, rest = unit.partition("@")
    if not mark:
        return text
    number = rest.partition(".")[0]
    return re.sub("%%|%i", lambda found: number if found[0] == "%i" else found[0], text)


def _launcher(unit: UnitText) -> Launcher:
    def last(key: str, default: str = "") -> str:
        return unit.get("Service", key) or default

    def every(key: str) -> tuple[str, ...]:
        return tuple(value for at, name, value in unit.directives if (at, name) == ("Service", key) and value)

    credentials = (line.partition(":") for line in every("LoadCredential"))
    return Launcher(
        unit=unit.name,
        user=last("User"),
        group=last("Group"),
        umask=last("UMask", "0022"),
        directory=last("WorkingDirectory").removeprefix("-"),
        directories=tuple(
            (name, above, last(key), last(f"{key}Mode")) for name, above, key in _DIRECTORIES if last(key)
        ),
        variables=tuple(_variable(word.text) for line in every("Environment") for word in split_words(line)),
        files=tuple((line.removeprefix("-"), line.startswith("-")) for line in every("EnvironmentFile")),
        unset=tuple(name for line in every("UnsetEnvironment") for name in line.split()),
        credentials=tuple((name, path) for name, _, path in credentials),
        before=tuple(map(_before, every("ExecStartPre"))),
        limit=_limit(last("TimeoutStartSec"), job=last("Type") == "oneshot"),
        start=_words(last("ExecStart").removeprefix("-")),
        reload=_words(last("ExecReload").removeprefix("-")),
        reload_line=last("ExecReload"),
    )


def _variable(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value.replace("%%", "%")


def _before(line: str) -> Before:
    text = line.lstrip("-")
    cannot = text[:1] in tuple("+!:@|") or " ; " in text
    return Before(line=line if cannot else text, words="" if cannot else _words(text), may_fail=line.startswith("-"))


def _limit(span: str, *, job: bool) -> str:
    """Seconds, as shell has them."""
    if not span:
        return "" if job else str(_BY_DEFAULT)
    if span in ("infinity", "0"):
        return ""
    return str(math.ceil(seconds_of(span)))


def _words(line: str) -> str:
    """A command line of systemd's as words of shell (systemd.service(5), "Command lines").

    ``$NAME`` alone is a variable's words, ``${NAME}`` in a word its value; ``$$`` and ``%%`` are a dollar and a percent
    sign. Variables are in those that manage has read them into.
    """
    return " ".join(_word(word.text) for word in split_words(line))


def _word(text: str) -> str:
    if name := re.fullmatch(rf"\$({_NAME})", text):
        return f"${{VARIABLE_{name[1]}-}}"
    pieces, literal = [], ""
    for found in _PIECE.finditer(text):
        if found[1]:
            pieces += [literal and shlex.quote(literal), f'"${{VARIABLE_{found[1]}-}}"']
            literal = ""
        else:
            literal += {"$$": "$", "%%": "%"}.get(found[0], found[0])
    return "".join([*pieces, literal and shlex.quote(literal)]) or "''"

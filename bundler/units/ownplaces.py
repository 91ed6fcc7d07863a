"""Directories inside the service's own directories: the service creates them itself.

systemd creates a ``StateDirectory=`` as root and changes the owner of it and of all its contents to the service's user.
If it is inside a directory that the service can write to, the service could have replaced it with a link, and systemd
would give away the link's target. So no directive names such a directory. The service's user creates it, and a working
directory inside one, before the programs start: with ``ExecStartPre=``; or, if there are credentials, in each program's
own command line, since systemd 247 cannot start a second program of a unit with credentials.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.units.unitfile import Lines, command_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.config.services import Service

__all__ = ["DIRECTORIES", "made_by_itself", "nested", "own_modes"]

DIRECTORIES = {
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
    "RuntimeDirectory": "/run",
}
"""The parent of each directive's directories."""
_CREDENTIALS = ("LoadCredential", "SetCredential", "ImportCredential")
_PROGRAMS = ("ExecStartPre", "ExecStart")
_MAKE = 'mkdir -p "$0" && exec "$@"'
_ENTER = 'mkdir -p "$0" && cd "$0" && unset PWD OLDPWD && exec "$@"'
_PREFIX = re.compile(r"[-@:+!|]*")


def nested(words: Iterable[str]) -> tuple[str, ...]:
    """The directories that are inside another one of the list."""
    given = tuple(word.strip("/") for word in words)
    return tuple(word for word in given if any(word.startswith(f"{other}/") for other in given))


def own_modes(service: Service) -> Lines:
    """A service with its own user denies others access to its directories, except to a socket that they connect to."""
    if not service.table.own_user:
        return ()
    opened = bool(service.socket and service.socket.path)
    closed = ("State", "Cache", "Logs", *(() if opened else ("Runtime",)))
    return tuple((f"{kind}DirectoryMode", "0700") for kind in closed)


def made_by_itself(lines: Lines) -> Lines:
    """The lines of ``[Service]``, changed so that systemd creates nothing in the service's own directories."""
    outer, inner = _divided(lines)
    given = next((value for key, value in reversed(lines) if key == "WorkingDirectory"), "")
    work = given.removeprefix("-")
    if not any(work.startswith(f"{path}/") for path in outer):
        work = ""
    places = tuple(dict.fromkeys((*inner, *filter(None, [work]))))
    if not places:
        return lines
    kept = []
    for key, value in lines:
        if key in DIRECTORIES:
            within = nested(value.split())
            kept.append((key, " ".join(word for word in value.split() if word.strip("/") not in within)))
        elif key == "WorkingDirectory" and work:
            kept.append((key, f"-{work}"))  # it is not there yet when the first program starts
        else:
            kept.append((key, value))
    if any(key.startswith(_CREDENTIALS) for key, _ in lines):
        return tuple((key, _wrapped(value, places, work)) if key in _PROGRAMS else (key, value) for key, value in kept)
    place = next(index for index, (key, _) in enumerate(kept) if key in _PROGRAMS)
    make = " ".join(["/bin/mkdir -p", *map(_path, places)])
    return (*kept[:place], ("ExecStartPre", make), *kept[place:])


def _divided(lines: Lines) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of the directories that systemd creates, and of those inside one of them."""
    outer: list[str] = []
    inner: list[str] = []
    for directive, base in DIRECTORIES.items():
        words = [word.strip("/") for key, value in lines if key == directive for word in value.split()]
        within = nested(words)
        inner += [f"{base}/{word}" for word in within]
        outer += [f"{base}/{word}" for word in words if word not in within]
    return tuple(outer), tuple(inner)


def _wrapped(command: str, places: tuple[str, ...], work: str) -> str:
    """A command line that creates the directories first. One for root, or of several commands, is unchanged."""
    prefix = _PREFIX.match(command)
    assert prefix is not None
    if set(prefix[0]) & set("@+!|") or re.search(r"(^|\s);(\s|$)", command):
        return command
    words: list[str] = []
    for place in places:
        script = _ENTER if place == work else _MAKE
        words += ["/bin/sh", "-c", _literal(script, expands=":" not in prefix[0]), _path(place)]
    return " ".join((f"{prefix[0]}{words[0]}", *words[1:], command[prefix.end() :]))


def _path(place: str) -> str:
    """A directory as a word of a command line, where systemd expands ``%i`` just as it does in the directive."""
    return _literal(place).replace("%%", "%")


def _literal(text: str, *, expands: bool = True) -> str:
    """A word of a command line, with ``$`` escaped; commands that start with ``:`` do not expand variables anyway."""
    word = command_word(text).replace("${", "$${")
    return word if expands else word.replace("$$", "$")

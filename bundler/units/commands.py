"""Command lines of units: absolute paths of programs, and arguments with placeholders filled in and quoted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.errors import ConfigError
from bundler.systemd.words import split_words
from bundler.units.environment import launcher
from bundler.units.programs import SERVER_PROGRAMS, check_path, find_program, missing_program
from bundler.units.unitfile import NUMBER, Lines, command_word, fill

if TYPE_CHECKING:
    from bundler.units.context import UnitContext

__all__ = ["COMMANDS", "command_line", "health_command", "override_line", "programs", "reload_lines"]

COMMANDS = frozenset({"ExecCondition", "ExecReload", "ExecStartPost", "ExecStartPre", "ExecStop", "ExecStopPost"})
"""Directives whose lines are commands."""
_PREFIXES = re.compile(r"[-@:+!|]*")


def programs(context: UnitContext) -> Lines:
    """The commands that run before the service starts, its own, and the one that makes it reload."""
    table = context.service.table

    def line(key: str, words: tuple[str, ...]) -> str:
        return command_line(context, words, context.key(key))

    before = tuple(("ExecStartPre", line("before_start", words)) for words in table.before_start)
    start = ("ExecStart", line("command", table.command))
    if isinstance(table.reload, tuple):
        return (*before, start, ("ExecReload", line("reload", table.reload)))
    return (*before, start, *reload_lines(context))


def reload_lines(context: UnitContext) -> Lines:
    """``ExecReload=`` that sends a signal with the shell's built-in ``kill``: not every server has the program."""
    reload = context.service.table.reload
    if not isinstance(reload, str):
        return ()
    return (("ExecReload", f'/bin/sh -c "kill -s {reload.removeprefix("SIG")} ${{MAINPID}}"'),)


def health_command(context: UnitContext) -> str:
    """The user's own health check command; empty if our probe is used."""
    health = context.service.table.health
    if health is None or not health.command:
        return ""
    return command_line(context, health.command, context.key("health.command"))


def command_line(context: UnitContext, words: tuple[str, ...], where: str) -> str:
    """A command line of systemd's; its first word is looked up in env/bin, then in app/.

    Raises :class:`ConfigError`, naming the key ``where``, for a program that is in neither.
    """
    executables = context.executables or frozenset()
    places = context.places | {"instance": NUMBER}
    program, *arguments = (fill(word, places) for word in words)
    found = find_program(program, context.release, executables)
    if not found:
        raise missing_program(program.removeprefix(f"{context.release}/"), where=where, executables=executables)
    check_path(found, where=where)
    line = (*launcher(context, found), found, *arguments)
    return " ".join(command_word(word) for word in line)


def override_line(context: UnitContext, line: str, where: str) -> str:
    """A line of one of COMMANDS, with placeholders filled in and programs absolute (systemd.service(5), Command lines).

    A bare program name is looked up as in ``command``; the server's own programs may be given by name. Raises
    :class:`ConfigError` for a program that does not exist, and for one of the bundle's that would run as root.
    """
    if not line:
        return ""
    filled = context.fill(line)
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
            raise ConfigError(f"{line!r} has no program", where=where, remedy="Write the program after the prefix.")
        if set(prefix[0]) & set("+!") and context.release in filled:
            raise ConfigError(
                f"{line!r} would run files of the bundle as root",
                where=where,
                remedy=f"Remove the {prefix[0].strip('-@:|')}: the bundle's programs run as its own user.",
            )
        found = find_program(name.replace("%%", "%"), context.release, context.executables or frozenset())
        check_path(name, where=where)
        if found is None and name not in SERVER_PROGRAMS:
            known = context.executables or frozenset()
            raise missing_program(name.removeprefix(f"{context.release}/"), where=where, executables=known)
        if found and not name.startswith("/"):
            result += filled[taken : word.start] + prefix[0] + found.replace("%", "%%")
            taken = word.end
    return result + filled[taken:]

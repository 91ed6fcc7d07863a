"""Unit files as data, and how text is escaped in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bundler.config.fields import PLACE

__all__ = ["NUMBER", "Lines", "Section", "Sections", "Unit", "command_word", "fill", "free_text", "given"]

NUMBER = "\x01"
"""Placeholder for an instance's number, ``%i``, which ``command_word`` would escape to ``%%i``."""

Lines = tuple[tuple[str, str], ...]
"""Directives in order, possibly repeated."""

Sections = dict[str, Lines]
"""A unit's sections by name, in order."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """``[name]`` and its directives."""

    name: str
    directives: Lines


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit file: its name, a comment for its head, its sections."""

    name: str
    comment: str
    sections: tuple[Section, ...]


def given(*lines: tuple[str, str | int | None]) -> Lines:
    """The directives that have a value."""
    return tuple((key, str(value)) for key, value in lines if value)


def fill(text: str, where: dict[str, str]) -> str:
    """``{app}`` -> its path, ``{{app}}`` -> ``{app}``."""
    return PLACE.sub(lambda found: found[1] or where[found[2]], text)


def free_text(value: str) -> str:
    """Escape free text for a unit, where ``%`` begins a specifier and a backslash at the end continues the line.

    A blank after it does not become part of the value (systemd.syntax(7)).
    """
    return value.replace("%", "%%") + (" " if value.endswith("\\") else "")


def command_word(word: str) -> str:
    """One argument of a command line (systemd.service(5), "Command lines").

    systemd expands ``${NAME}`` from the service's environment; any other ``$`` is escaped.
    """
    escaped = word.replace("%", "%%").replace(NUMBER, "%i").replace("\\", "\\\\").replace('"', '\\"')
    escaped = re.sub(r"\$(?!\{[A-Za-z_][A-Za-z0-9_]*\})", "$$", escaped)
    return escaped if re.fullmatch(r"[\w@%+=:,./${}-]+", escaped, re.ASCII) else f'"{escaped}"'

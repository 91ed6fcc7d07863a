"""What a user should know of the wheels that uv has chosen: what was withdrawn, what is missing, whose they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.errors import without_credentials
from bundler.process import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["index_notes", "warning_notes", "without_warnings"]

_WARNING = re.compile(r"^warning: (.*(?:\n[ \t]+.*)*)\n?", re.MULTILINE)
_YANKED = re.compile(r'`([^`]+?)==([^`]+)` is yanked(?: \(reason: "(.*)"\))?', re.DOTALL)
_EXTRA = re.compile(r"The package `([^`]+?)(?:==([^`]+))?` does not have an extra named `([^`]+)`")
_NAMED = 5
"""How many projects of an index are named."""


def without_warnings(text: str) -> str:
    """What uv printed, but for its warnings."""
    return _WARNING.sub("", text)


def warning_notes(text: str) -> tuple[str, ...]:
    """A sentence for each warning in what uv printed."""
    found = (" ".join(shown(without_credentials(warning)).split()) for warning in _WARNING.findall(text))
    return tuple(dict.fromkeys(map(_plain, found)))


def _plain(warning: str) -> str:
    if yanked := _YANKED.fullmatch(warning):
        why = f": {yanked[3]}" if yanked[3] else ""
        return (
            f"{yanked[1]} {yanked[2]} was yanked from its package index{why}; it is locked because `pip:` or the "
            "lockfile pins this version"
        )
    if extra := _EXTRA.fullmatch(warning):
        return f"{extra[1]} {extra[2] or ''}".rstrip() + f" has no extra {extra[3]}; it is ignored"
    return f"uv warns: {warning}"


def index_notes(indexes: Mapping[str, str | None], asked: int) -> Iterator[str]:
    """Which index each project was taken from, if so many indexes as ``asked`` are more than one."""
    if asked < 2:
        return
    for index in dict.fromkeys(index for index in indexes.values() if index):
        names = sorted(name for name, of in indexes.items() if of == index)
        them = "it" if len(names) == 1 else "them"
        yield f"{_listed(names)} from {shown(without_credentials(index))}, the first package index that has {them}"


def _listed(names: Sequence[str]) -> str:
    named, others = names[:_NAMED], len(names) - _NAMED
    if others > 1:
        return f"{', '.join(named)} and {others} others"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else names[0]

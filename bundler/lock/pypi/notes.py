"""Notes about the wheels that uv has chosen: yanked versions, missing extras, the indexes that they come from."""

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
"""The maximum number of projects of an index that are named."""


def without_warnings(text: str) -> str:
    """uv's output without its warnings."""
    return _WARNING.sub("", text)


def warning_notes(text: str) -> tuple[str, ...]:
    """A note for each warning in uv's output."""
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
    """The index that each project comes from, if more than one index was ``asked``."""
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

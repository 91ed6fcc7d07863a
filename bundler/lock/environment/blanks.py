"""Entries of an environment.yml that are nothing: ``- ""``, and ``- pip:`` without a list. conda passes over them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from bundler.lock.environment.shown import items

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["without_blanks"]

_PIP = r"""pip:\s*(~|null|\[[\s"',~]*\])?\s*"""
_BLANK = re.compile(rf"""\s*-\s*(""|''|~|null|{_PIP}|\{{\s*{_PIP}\}})?\s*(#.*)?""")
_BRACKETS = re.compile(r"""(dependencies|pip)["']?\s*:[^\n\[]*\n?\s*\[""")
_NULL = "tag:yaml.org,2002:null"


def without_blanks(data: bytes) -> bytes:
    """``data`` without such entries: their lines are comments, so that all others are where they were; in lists
    between brackets they are cut out.

    Raises :class:`yaml.YAMLError` for what is not YAML.
    """
    text = data.decode("utf-8-sig")
    if not _BRACKETS.search(text) and not any(map(_BLANK.fullmatch, text.splitlines())):
        return data
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    blank, cuts = set(_blank_lines(root)), sorted(set(_cuts(root)), reverse=True)
    if not blank and not cuts:
        return data
    lines = text.splitlines()
    changed = "\n".join(
        [
            *(f"# {line}" if number in blank and _BLANK.fullmatch(line) else line for number, line in enumerate(lines)),
            "",
        ]
    )
    if changed != "\n".join([*lines, ""]):
        return without_blanks(changed.encode()) if cuts else changed.encode()
    for start, end in cuts:
        text = text[:start] + text[end:]
    return text.encode()


def _blank_lines(root: yaml.Node | None) -> Iterator[int]:
    for entry in items(root, "dependencies"):
        if _is_blank(entry):
            yield entry.start_mark.line
        for key, value in entry.value if isinstance(entry, yaml.MappingNode) else ():
            inside = value.value if isinstance(value, yaml.SequenceNode) else []
            yield from (one.start_mark.line for one in inside if _is_blank(one))
            if key.value == "pip" and (_is_blank(value) or not [one for one in inside if not _is_blank(one)]):
                yield entry.start_mark.line


def _cuts(root: yaml.Node | None) -> Iterator[tuple[int, int]]:
    """Where the blank entries of lists between brackets are, each with one of the commas beside it."""
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "dependencies" and isinstance(value, yaml.SequenceNode):
            yield from _cuts_of(value)
            for entry in value.value:
                for name, listed in entry.value if isinstance(entry, yaml.MappingNode) else ():
                    if name.value == "pip" and isinstance(listed, yaml.SequenceNode) and not _is_nothing(entry):
                        yield from _cuts_of(listed)


def _cuts_of(listed: yaml.SequenceNode) -> Iterator[tuple[int, int]]:
    entries: Sequence[yaml.Node] = listed.value if listed.flow_style else ()
    kept = [number for number, entry in enumerate(entries) if not _is_nothing(entry)]
    first = kept[0] if kept else len(entries)
    for number, entry in enumerate(entries):
        if number in kept:
            continue
        if number < first:  # up to what follows
            following = entries[number + 1].start_mark if number + 1 < len(entries) else entry.end_mark
            yield entry.start_mark.index, following.index
        else:
            yield entries[number - 1].end_mark.index, entry.end_mark.index


def _is_nothing(entry: yaml.Node) -> bool:
    """Blank, or a mapping that has a blank ``pip`` alone."""
    if not isinstance(entry, yaml.MappingNode) or len(entry.value) != 1:
        return _is_blank(entry)
    ((key, value),) = entry.value
    inside = value.value if isinstance(value, yaml.SequenceNode) else [value]
    return (
        str(key.value) == "pip"
        and isinstance(value, (yaml.ScalarNode, yaml.SequenceNode))
        and all(map(_is_blank, inside))
    )


def _is_blank(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and (node.tag == _NULL or not node.value.strip())

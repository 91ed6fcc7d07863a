"""Entries of an environment.yml that are nothing: ``- ""``, and ``- pip:`` without a list. conda passes over them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from bundler.lock.shown import items

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["without_blanks"]

_BLANK = re.compile(r"""\s*-\s*(""|''|~|null|pip:\s*(~|null|\[\s*\])?)?\s*(#.*)?""")
_NULL = "tag:yaml.org,2002:null"


def without_blanks(data: bytes) -> bytes:
    """``data`` with such lines turned into comments: all others are where they were.

    Raises :class:`yaml.YAMLError` for what is not YAML.
    """
    text = data.decode("utf-8-sig")
    if not any(map(_BLANK.fullmatch, text.splitlines())):
        return data
    blank = set(_blank_lines(yaml.compose(text, Loader=yaml.SafeLoader)))
    if not blank:
        return data
    lines = text.splitlines()
    return "\n".join(
        [
            *(f"# {line}" if number in blank and _BLANK.fullmatch(line) else line for number, line in enumerate(lines)),
            "",
        ]
    ).encode()


def _blank_lines(root: yaml.Node | None) -> Iterator[int]:
    for entry in items(root, "dependencies"):
        if _is_blank(entry):
            yield entry.start_mark.line
        for key, value in entry.value if isinstance(entry, yaml.MappingNode) else ():
            inside = value.value if isinstance(value, yaml.SequenceNode) else []
            yield from (one.start_mark.line for one in inside if _is_blank(one))
            if key.value == "pip" and (_is_blank(value) or not [one for one in inside if not _is_blank(one)]):
                yield entry.start_mark.line


def _is_blank(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and (node.tag == _NULL or not node.value.strip())

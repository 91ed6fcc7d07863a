"""Entries of ``pip:`` lists that conda-lock is not to see, and lines that it leaves out by itself.

conda-lock reads selectors (``# [linux64]``) from the text, so the text is changed and nothing is written anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from bundler.errors import ConfigError
from bundler.lock.environment.pip import pip_texts
from bundler.lock.environment.selectors import CONDA_LOCKS, SELECTOR
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["HIDDEN", "filtered", "hidden", "items"]

HIDDEN = "-e ."
"""An entry that conda-lock leaves out of lockfile and hash: it locks no editable projects."""


def hidden(data: bytes, path: Path, hides: Callable[[str], bool]) -> bytes:
    """``data``, the environment.yml at ``path``, with the entries of ``pip:`` hidden that ``hides`` names.

    ``pip:`` itself stays: to conda-lock it means that conda's pip is wanted. Raises :class:`ConfigError`.
    """
    before = pip_texts(load_yaml(data))
    if not any(map(hides, before)):
        return data
    text = data.decode("utf-8-sig")
    for start, end in sorted(_places(yaml.compose(text, Loader=yaml.SafeLoader), hides), reverse=True):
        kept = "\n" if text[start:end].endswith("\n") else ""  # a block scalar takes its line's end with it
        text = text[:start] + HIDDEN + kept + text[end:]
    changed = text.encode()
    try:
        after = pip_texts(load_yaml(changed))
    except yaml.YAMLError:  # an anchor has gone
        after = ()
    if after != tuple(HIDDEN if hides(entry) else entry for entry in before):
        raise ConfigError(
            "cannot parse its `pip:` list", where=str(path), remedy="Write the list without YAML anchors and tags."
        )
    return changed


def _places(root: yaml.Node | None, hides: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    """Where in the text the entries begin and end."""
    for listed in (pip for entry in items(root, "dependencies") for pip in items(entry, "pip")):
        if isinstance(listed, yaml.ScalarNode) and hides(str(listed.value)):
            yield listed.start_mark.index, listed.end_mark.index


def items(node: yaml.Node | None, key: str) -> Iterator[yaml.Node]:
    """The items of the list that a mapping has under ``key``."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key and isinstance(value, yaml.SequenceNode):
                yield from value.value


def filtered(data: bytes, platform: str) -> bytes:
    """``data`` without the lines that conda-lock leaves out for ``platform``, by their selectors."""
    if b"[" not in data:
        return data
    lines = data.decode("utf-8-sig").splitlines()
    return "\n".join(line for line in lines if _is_for(line, platform)).encode()


def _is_for(line: str, platform: str) -> bool:
    found = SELECTOR.fullmatch(line)
    if found is None or line.lstrip().startswith("#"):
        return True
    return found[1] in ("linux", "unix", CONDA_LOCKS.get(platform))

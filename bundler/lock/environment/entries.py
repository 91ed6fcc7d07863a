"""The conda packages that an environment.yml asks for, and what conda-lock is shown of them.

Besides texts these are mappings with a selector, `- sel(linux): pkg` (CEP 24), which conda-lock passes over. So they
stay in what its content hash is of, and stand as plain entries in what is solved.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from bundler.errors import ConfigError
from bundler.lock.environment.longform import LongSpec, MalformedSpecError, read_spec
from bundler.lock.environment.shown import filtered, items
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "conda_entries",
    "entry_mistakes",
    "for_the_hash",
    "for_the_solver",
    "long_specs",
    "passed_over",
    "selected_entries",
]

_SEL = re.compile(r"\s*sel\(\s*(.*?)\s*\)\s*")
_HOLDS = {"unix": True, "linux": True, "osx": False, "win": False}
"""The names that CEP 24 has for selectors, on any Linux."""
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
"""An anchor or a tag before a node of YAML."""


def conda_entries(document: dict[str, Any]) -> Iterator[str]:
    """The conda packages that a checked file asks for, as it writes them."""
    for entry in document["dependencies"]:
        if isinstance(entry, str):
            yield entry
        elif text := _selected(entry):
            yield text


def selected_entries(document: dict[str, Any]) -> Iterator[str]:
    """Those of them that count by a selector in a mapping."""
    for entry in document["dependencies"]:
        if not isinstance(entry, str) and (text := _selected(entry)):
            yield text


def passed_over(document: dict[str, Any]) -> Iterator[str]:
    """A sentence for each entry that a selector leaves out."""
    for entry in document["dependencies"]:
        for key, value in entry.items() if isinstance(entry, dict) else ():
            if _is_selector(key) and not _selected(entry):
                yield f"{value} is skipped: its selector {key} is not for Linux"


def entry_mistakes(document: dict[str, Any]) -> Iterator[str]:
    """A sentence for each entry of ``dependencies:`` that cannot be locked."""
    for number, entry in enumerate(document["dependencies"], start=1):
        if wrong := _mistake(entry):
            yield f"entry {number} of `dependencies:` {wrong}"
    for text in conda_entries(document):
        try:
            read_spec(text)
        except MalformedSpecError as malformed:
            yield str(malformed)


def long_specs(data: bytes, platform: str) -> Iterator[tuple[str, LongSpec]]:
    """The specs for ``platform`` that are more than conda-lock passes on, with the names of their packages."""
    for text in conda_entries(load_yaml(filtered(data, platform))):
        spec = read_spec(text)
        if spec.whole is not None:
            yield spec.name, spec


def for_the_hash(data: bytes, path: Path) -> bytes:
    """``data``, the environment.yml at ``path``, with specs that conda-lock can read, or leaves out by itself."""
    return _rewritten(data, path, selects=False)


def for_the_solver(data: bytes, path: Path) -> bytes:
    """The same with the entries that count by a selector."""
    return _rewritten(data, path, selects=True)


def _mistake(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None if isinstance(entry, str) else f"is neither a package nor a `pip:` list: {entry!r}"
    if len(entry) != 1:
        several = f"has several keys: {', '.join(map(str, entry))}; write each as a separate entry"
        return several if entry else "is an empty mapping; remove it"
    ((key, value),) = entry.items()
    if _is_selector(key):
        return _selector_mistake(key, value)
    if key == "pip":
        listed = isinstance(value, list) and all(isinstance(text, str) and text.strip() for text in value)
        return (
            None
            if listed
            else f"is `pip:` with {value!r}, which is not a list of strings; write each after `- ` below it"
        )
    if isinstance(value, (str, int, float)) and re.fullmatch(r"[\w.-]+", str(key)):
        return f"is a mapping, `{key}: …`; write `- {key} =VERSION`"
    return f"is neither a package nor a `pip:` list: {entry!r}; only conda packages and wheels can be locked"


def _selector_mistake(key: str, value: Any) -> str | None:
    found = _SEL.fullmatch(key)
    if found is None or found[1] not in _HOLDS:
        return f"has the unknown selector `{key}`; use one of {', '.join(f'sel({name})' for name in _HOLDS)}"
    if not isinstance(value, str) or not value.strip():
        return f"has {value!r} after `{key}:`; write one package there, and a separate entry for each"
    return None


def _is_selector(key: object) -> bool:
    return isinstance(key, str) and key.strip().startswith("sel(")


def _selected(entry: Any) -> str | None:
    """What stands behind a selector that holds."""
    for key, value in entry.items() if isinstance(entry, dict) else ():
        found = _SEL.fullmatch(key) if _is_selector(key) else None
        if found and _HOLDS.get(found[1]) and isinstance(value, str):
            return value
    return None


def _rewritten(data: bytes, path: Path, *, selects: bool) -> bytes:
    before = load_yaml(data)["dependencies"]
    wanted = [_shown(entry, selects=selects) for entry in before]
    if wanted == before:
        return data
    text = data.decode("utf-8-sig")
    for (start, end), new in sorted(_changes(text, selects=selects).items(), reverse=True):
        kept = "\n" if text[start:end].endswith("\n") else ""
        text = text[:start] + json.dumps(new, ensure_ascii=False) + kept + text[end:]
    changed = text.encode()
    try:
        after = load_yaml(changed)["dependencies"]
    except yaml.YAMLError:
        after = None
    if after != wanted:
        raise ConfigError(
            "cannot parse its `dependencies:`", where=str(path), remedy="Write the list without YAML anchors."
        )
    return changed


def _shown(entry: Any, *, selects: bool) -> Any:
    if isinstance(entry, str):
        spec = read_spec(entry)
        return spec.shown if spec.whole is not None or entry[:1].isspace() else entry  # conda-lock takes no blank there
    text = _selected(entry) if selects else None
    return read_spec(text).shown if text else entry


def _changes(text: str, *, selects: bool) -> dict[tuple[int, int], str]:
    """Where in the text an entry is, and what conda-lock is shown of it."""
    found: dict[tuple[int, int], str] = {}
    for node in items(yaml.compose(text, Loader=yaml.SafeLoader), "dependencies"):
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.ScalarNode):
            start += len((_PROPERTIES.match(text[start:end]) or [""])[0])
            if (shown := _shown(node.value, selects=selects)) != node.value:
                found[start, end] = shown
        elif isinstance(node, yaml.MappingNode) and selects:
            for key, value in node.value:
                if isinstance(value, yaml.ScalarNode) and (chosen := _selected({key.value: value.value})):
                    end = end if node.flow_style else value.end_mark.index
                    found[start, end] = read_spec(chosen).shown
    return found

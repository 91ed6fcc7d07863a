"""Convert pydantic's errors in bundle.toml to plain sentences: the key, its value, and what to write instead."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from bundler.errors import without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["sentences"]

_WANTED = {
    "string_type": "text in quotes",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""Descriptions of valid values, by pydantic's error types."""
_EXAMPLES = {
    "name": '"hello"',
    "version": '"1.2.0"',
    "description": '"What it is"',
    "command": '["python", "-m", "hello"]',
    "environment": '{ NAME = "value" }',
    "platforms": '["linux-64"]',
    "health": '{ http = "http://127.0.0.1:${PORT}/" }',
    "reload": '"SIGHUP"',
    "instances": "4",
    "schedule": '{ on_calendar = "daily" }',
    "unit": '{ Service = { OOMScoreAdjust = "500" } }',
    "memory_max": '"8G"',
    "cpu_quota": '"80%"',
    "tasks_max": "200",
    "ports": "[443]",
    "glibc": '"2.28"',
    "linux": '"5.10"',
    "cuda": '"12.4"',
    "cuda_arch": '"8.0"',
    "owners": '{ "lib/x.py" = "package" }',
    "libraries": '{ "libGL.so.1" = "optional" }',
    "mirrors": '{ "https://a.example" = ["https://b.example"] }',
}
_TABLES = {
    "bundle": 'name = "hello"',
    "files": '"hello" = "src/hello"',
    "config": 'PORT = "8000"',
    "secrets": "TOKEN = { bytes = 32 }",
    "services": 'hello = { command = ["python", "-m", "hello"] }',
    "platforms": 'linux-64 = { glibc = "2.28" }',
    "hooks": 'before_switch = ["python", "-m", "hello.migrate"]',
    "release": 'distribution = "none"',
    "channels": 'default = "conda-forge"',
    "lock": 'exclude_newer = "14d"',
}
"""Examples for the top-level tables."""
_COMMANDS = frozenset({"command", "before_start", "reload", "before_switch", "after_switch", "back"})
"""Keys whose value has to be a list of words, but may be given as a command line."""
_SHELLS = ("sh", "bash", "dash")
"""Programs with which command lines often begin, and which are on the server, but rarely in an environment."""
_SHELL = re.compile(r"&&|\|\||[|;<>&`*?]|\$\(")

Location = tuple["str | int", ...]


def sentences(error: ValidationError, document: Mapping[str, Any]) -> list[str]:
    """A sentence for each mistake in ``document``, with its key, in the order of the keys."""
    by_key: dict[Location, list[ErrorDetails]] = {}
    for detail in error.errors():
        by_key.setdefault(_keys(detail["loc"], document, detail["type"] == "missing"), []).append(detail)
    for key in [key for key in by_key if _has_below(key, by_key)]:
        # For a key that may be text or a list: it is a list, and the mistake is inside it.
        by_key[key] = [detail for detail in by_key[key] if not _is_of_type(detail)]
    return [f"{_shown(key)}: {_sentence(key, details)}" for key, details in by_key.items() if details]


def _keys(location: Location, document: Any, missing: bool) -> Location:
    """The parts of the location that are keys; the others are pydantic's names of alternatives."""
    found: list[str | int] = []
    node: Any = document
    for index, part in enumerate(location):
        if _is_in(node, part):
            node = node[part]
        elif not missing or index < len(location) - 1:
            continue
        found.append(part)
    return tuple(found)


def _is_in(node: Any, part: str | int) -> bool:
    return part in node if isinstance(node, dict) else isinstance(node, list | tuple) and isinstance(part, int)


def _has_below(key: Location, keys: Iterable[Location]) -> bool:
    return any(len(other) > len(key) and other[: len(key)] == key for other in keys)


def _is_of_type(detail: ErrorDetails) -> bool:
    return detail["type"] in _WANTED or detail["type"] == "literal_error"


def _shown(key: Location) -> str:
    return without_credentials(".".join(map(str, key)))


def _sentence(key: Location, details: list[ErrorDetails]) -> str:
    others = [detail for detail in details if not _is_of_type(detail)]
    if others:
        return " or ".join(dict.fromkeys(_of_value(key, detail) for detail in others))
    given = details[0]["input"]
    wanted = list(dict.fromkeys(_wanted(detail) for detail in details))
    return f"is {_given(given)}; it must be {' or '.join(wanted)}{_correction(key, given, wanted)}"


def _of_value(key: Location, detail: ErrorDetails) -> str:
    """The sentence for a value of the right type that is invalid."""
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch":
        example = _EXAMPLES.get(str(key[-1]))
        return f"{given!r} does not match {context['pattern']}" + (f"; write it like {example}" if example else "")
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    for name, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if name in context:
            return f"{given} is out of range: it must be {words} {context[name]:g}"
    return str(detail["msg"]).removeprefix("Value error, ")


def _wanted(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        expected = str(detail.get("ctx", {}).get("expected", ""))
        return {"True": "true", "False": "false"}.get(expected, expected.replace("'", '"'))
    return _WANTED[detail["type"]]


def _given(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    words = (
        (str, f"the text {value!r}"),
        (int | float, f"the number {value}"),
        (list | tuple, "a list" if value else "an empty list"),
        (dict, "a table"),
        (dt.date | dt.time, f"the date {value}"),
    )
    return next((said for kind, said in words if isinstance(value, kind)), repr(value))


def _correction(key: Location, given: Any, wanted: list[str]) -> str:
    """``; write …``: a correct line, if it can be determined."""
    name = str(key[-1])
    named = next((part for part in reversed(key) if isinstance(part, str)), name)
    if len(key) == 1 and name in _TABLES:
        return f"; write [{name}], and below it lines like {_TABLES[name]}"
    if len(key) == 2 and key[0] == "services":
        return f'; write [{key[0]}.{key[1]}], and below it command = ["python", "-m", "hello"]'
    if isinstance(given, str) and "a list" in wanted:
        listed = _as_list(named, given)
        return f"; write {listed}" if isinstance(key[-1], int) else f"; write {name} = {listed}"
    as_text = "text in quotes" in wanted and name not in ("memory_max", "cpu_quota", "kill_signal")
    if as_text and isinstance(given, int | float | dt.date) and not isinstance(given, bool):
        return f'; write it in quotes: "{given}"' if isinstance(key[-1], int) else f'; write {name} = "{given}"'
    return f"; write it like {name} = {_EXAMPLES[name]}" if name in _EXAMPLES and "a list" not in wanted[1:] else ""


def _as_list(name: str, text: str) -> str:
    """A command line as a list of words, split like in a shell, or other text as a list of one."""
    if name not in _COMMANDS:
        return _toml([text])
    if _SHELL.search(text):
        return _toml(["/bin/sh", "-c", text]) + " (&&, |, > and * work only in a shell)"
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        return _EXAMPLES["command"]
    if words[0] in _SHELLS:
        words[0] = f"/bin/{words[0]}"
    return _toml([re.sub(r"\$([A-Za-z_][A-Za-z0-9_]*)", r"${\1}", word) for word in words])


def _toml(words: list[str]) -> str:
    return f"[{', '.join(json.dumps(word, ensure_ascii=False) for word in words)}]"

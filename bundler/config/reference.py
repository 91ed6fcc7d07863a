"""The reference of bundle.toml as Markdown: ``make reference`` writes docs/reference/bundle-toml.md.

It is generated from the JSON schema, and so from the declarations of the keys.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.config.schema import make_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["make_reference"]

_HEAD = """\
# bundle.toml

Every table and key. `make reference` writes this page from what `build` checks bundle.toml with
(`bundler/config/model.py`); `conda-bundler schema` prints the same for editors, as a JSON schema.
"""
_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}


def make_reference() -> str:
    """The page's text."""
    schema = make_schema()
    return "\n".join([_HEAD, *_Reference(definitions=schema["$defs"]).tables(schema)])


@dataclass(frozen=True, kw_only=True)
class _Reference:
    definitions: dict[str, Any]

    def tables(self, top: dict[str, Any]) -> Iterator[str]:
        """A section for each table of bundle.toml, and for nested tables."""
        for key, value in top["properties"].items():
            inside = _inside(value)
            path = key if inside is None else f"{key}.<name>"
            model = self._model(value if inside is None else inside)
            yield f"## `[{path if model else key}]`\n"
            yield f"{_text(value)}\n"
            if inside is not None and (model is None or len(_alternatives(inside)) > 1):
                yield f"An entry is `<name> = …`: {self._kind(inside)}.\n"
            if model is not None:
                yield from self._table(path, model)

    def _table(self, path: str, model: dict[str, Any]) -> Iterator[str]:
        """The keys of a table, then the tables that its keys may have as values."""
        yield "| key | value | default | meaning |"
        yield "| --- | --- | --- | --- |"
        below: dict[str, tuple[dict[str, Any], list[str]]] = {}
        for key, value in model["properties"].items():
            yield f"| `{key}` | {self._kind(value)} | {_default(key, value, model)} | {_text(value)} |"
            if inside := self._model(value):
                below.setdefault(inside["description"], (inside, []))[1].append(f"{path}.{key}")
        yield ""
        for inside, paths in below.values():
            yield f"### {', '.join(f'`[{one}]`' for one in paths)}\n"
            yield f"{_text(inside)}\n"
            yield from self._table(paths[0], inside)

    def _model(self, value: dict[str, Any]) -> dict[str, Any] | None:
        """The table that a value is or may be."""
        named = (one["$ref"] for one in _alternatives(value) if "$ref" in one)
        found: list[dict[str, Any]] = [self.definitions[name.rpartition("/")[2]] for name in named]
        return found[0] if found else None

    def _kind(self, value: dict[str, Any]) -> str:
        """A description of the allowed values."""
        kinds: list[str] = []
        for one in _alternatives(value):
            items = one.get("items", {})
            same = len(_alternatives(items)) > 1 and self._kind(items) == " or ".join(kinds)
            kinds.append("list of these" if same else self._one_kind(one))
        return " or ".join(dict.fromkeys(kinds))

    def _one_kind(self, value: dict[str, Any]) -> str:
        if "enum" in value or "const" in value:
            return ", ".join(_code(one) for one in value.get("enum", [value.get("const")]))
        if "$ref" in value:
            return "table"
        if value["type"] == "array":
            return f"list of {self._kind(value['items'])}"
        if value["type"] == "object":
            inside = _inside(value)
            return f"table of {self._kind(inside)}" if inside else "table"
        return _PLAIN[value["type"]] + _limits(value)


def _alternatives(value: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = value.get("anyOf") or value.get("oneOf") or [value]
    return [inner for one in found for inner in (_alternatives(one) if one is not value else [one])]


def _inside(value: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of the values in a table with arbitrary keys."""
    inside = next(iter(value.get("patternProperties", {}).values()), value.get("additionalProperties"))
    return inside if isinstance(inside, dict) else None


def _limits(value: dict[str, Any]) -> str:
    if {"minimum", "maximum"} <= value.keys():
        return f" from {value['minimum']:g} to {value['maximum']:g}"
    said = (("from", value.get("minimum")), ("above", value.get("exclusiveMinimum")), ("up to", value.get("maximum")))
    limits = "".join(f" {words} {limit:g}" for words, limit in said if limit is not None)
    return limits + (f" like {_code_of(value['pattern'])}" if "pattern" in value else "")


def _default(key: str, value: dict[str, Any], model: dict[str, Any]) -> str:
    if key in model.get("required", ()):
        return "required"
    return _code(value["default"]) if value.get("default") not in (None, [], {}, "") else ""


def _code(value: Any) -> str:
    """The value as TOML."""
    return _code_of(json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value))


def _code_of(text: str) -> str:
    return f"`{text}`".replace("|", r"\|")


def _text(value: dict[str, Any]) -> str:
    said = " ".join((value["description"], value.get("$comment", ""))).replace("``", "`")
    return " ".join(said.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(make_reference())

"""bundle.toml's JSON schema (draft 2020-12), for editors: from the models that the build checks it with.

What no schema can say, that a file exists or that two names differ, the build says.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from bundler.config import project

__all__ = ["make_schema"]


def make_schema() -> dict[str, Any]:
    """The schema; the same whenever the models are the same."""
    top = project._File  # noqa: SLF001 -- project.py keeps its models to itself
    document: dict[str, Any] = _tidied(top.model_json_schema())
    definitions = document.pop("$defs", {})
    for model in _models(top):
        if model is top or model.__name__ in definitions:
            _describe(document if model is top else definitions[model.__name__], model)
    named = {name.lstrip("_"): definition for name, definition in definitions.items()}
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "bundle.toml of conda-bundler"}
    return head | document | {"$defs": dict(sorted(named.items()))}


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """All models in the module of ``model``, and in those that it takes its models from."""
    found: set[type[BaseModel]] = set()
    pending: list[type[BaseModel]] = [model]
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            room = vars(sys.modules[one.__module__]).values()
            pending += [other for other in room if isinstance(other, type) and issubclass(other, BaseModel)]
    return found - {BaseModel}


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Each key's own docstring becomes its description."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(tree, ast.ClassDef)
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            schema["properties"].get(field.target.id, {})["description"] = inspect.cleandoc(text.value.value)


def _tidied(schema: Any) -> Any:
    """Without titles that only repeat the key and without null, which TOML has not; closed where patterns name keys."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema.replace("#/$defs/_", "#/$defs/") if isinstance(schema, str) else schema
    found = {key: _tidied(value) for key, value in schema.items() if not _is_noise(key, value)}
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    if len(found.get("anyOf", ())) == 1:
        (only,) = found.pop("anyOf")
        found |= only
    return found


def _is_noise(key: str, value: Any) -> bool:
    """Not so a table that describes a key of that name."""
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)

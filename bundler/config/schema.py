"""The JSON schema (draft 2020-12) of bundle.toml, for editors, generated from the models.

What a schema cannot express, such as that a file exists or that two names differ, is checked by `build`.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from bundler.config import model

__all__ = ["make_schema"]


def make_schema() -> dict[str, Any]:
    """The schema, which depends only on the models."""
    document: dict[str, Any] = _tidied(model.BundleFile.model_json_schema())
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "bundle.toml of conda-bundler"}
    return head | document | {"$defs": dict(sorted(document.pop("$defs", {}).items()))}


def _tidied(schema: Any) -> Any:
    """Remove titles that only repeat the key, and null, which TOML lacks; forbid keys that match no pattern."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    found = {key: _tidied(value) for key, value in schema.items() if not _is_noise(key, value)}
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    if "$ref" in found:
        found.pop("default", None)  # the table's own keys have defaults
    if len(found.get("anyOf", ())) == 1:
        (only,) = found.pop("anyOf")
        found = only | found
    return found


def _is_noise(key: str, value: Any) -> bool:
    """Whether the keyword is unnecessary; a key of bundle.toml with that name is not."""
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)

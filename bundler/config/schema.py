"""bundle.toml's JSON schema (draft 2020-12), for editors: from the models that the build checks it with.

What no schema can say, that a file exists or that two names differ, the build says.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from bundler.config import model

__all__ = ["make_schema"]


def make_schema() -> dict[str, Any]:
    """The schema; the same whenever the models are the same."""
    document: dict[str, Any] = _tidied(model.BundleFile.model_json_schema())
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "bundle.toml of conda-bundler"}
    return head | document | {"$defs": dict(sorted(document.pop("$defs", {}).items()))}


def _tidied(schema: Any) -> Any:
    """Without titles that only repeat the key and without null, which TOML has not; closed where patterns name keys."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    found = {key: _tidied(value) for key, value in schema.items() if not _is_noise(key, value)}
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    if "$ref" in found:
        found.pop("default", None)  # the table's own keys say it
    if len(found.get("anyOf", ())) == 1:
        (only,) = found.pop("anyOf")
        found = only | found
    return found


def _is_noise(key: str, value: Any) -> bool:
    """Not so a table that describes a key of that name."""
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)

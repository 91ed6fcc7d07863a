"""Parse untrusted JSON into models. Errors are a single line that begins with the key."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

__all__ = ["from_json", "parse_json", "validate"]

_Model = TypeVar("_Model", bound=BaseModel)


def from_json(model: type[_Model], content: bytes) -> _Model:
    """Raises :class:`ValueError` with the first problem."""
    return validate(model, parse_json(content))


def parse_json(content: bytes) -> Any:
    """Raises :class:`ValueError`, also if it is nested too deeply."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def validate(model: type[_Model], document: Any) -> _Model:
    """Raises :class:`ValueError` with the first invalid key and why."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ValueError(f"{key}: {first['msg']}") from error

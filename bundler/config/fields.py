"""Types of values in bundle.toml's tables, for pydantic, with error messages in plain sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from bundler.config import patterns

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

__all__ = [
    "INSTANCE",
    "PLACE",
    "PLACES",
    "Inside",
    "Line",
    "Model",
    "Name",
    "NotInBuildId",
    "Setting",
    "Value",
    "Variable",
    "Word",
    "check_places",
]

PLACES = ("app", "env", "root", "state", "cache", "runtime")
"""The placeholders ``{…}`` in commands and environments."""
INSTANCE = "instance"
"""The placeholder for the instance's number, in services with instances."""
PLACE = re.compile(r"\{(\{[a-z]+\})\}|(?<!\$)\{([a-z]+)\}")
"""``{{word}}``, which is an escaped ``{word}``, or ``{placeholder}``; ``${word}`` is a variable."""


def _one_line(value: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("must not contain control characters or line breaks")
    return value


def check_places(value: str) -> str:
    unknown = [name for _, name in PLACE.findall(value) if name and name not in (*PLACES, INSTANCE)]
    if unknown:
        places = " ".join(f"{{{name}}}" for name in PLACES)
        raise ValueError(
            f"unknown placeholder {{{unknown[0]}}}; known ones: {places}, and {{{{{unknown[0]}}}}} for the word in "
            "braces itself"
        )
    return value


def _inside(value: str) -> str:
    path = Path(value)
    if path.is_absolute() or ".." in path.parts or path == Path():
        raise ValueError("must be a relative path without '..'")
    return path.as_posix()


Inside = Annotated[str, AfterValidator(_one_line), AfterValidator(_inside)]
Line = Annotated[str, AfterValidator(_one_line)]
Name = Annotated[str, StringConstraints(pattern=patterns.NAME)]


def _setting(value: str) -> str:
    """Refuse values for which systemd drops the variable, with only a message in the log (env-util.c, utf8.c)."""
    for char in value:
        code = ord(char)
        if (code < 32 and char not in "\t\n") or code == 127:
            raise ValueError("control characters other than tab and line break are not allowed here")
        if 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE or 0xD800 <= code <= 0xDFFF:
            raise ValueError(f"U+{code:04X} is not a character")
    return value


Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Setting = Annotated[str, AfterValidator(_setting)]
Value = Annotated[Setting, AfterValidator(check_places)]
Word = Annotated[str, StringConstraints(min_length=1), AfterValidator(_one_line), AfterValidator(check_places)]


@dataclass(frozen=True)
class NotInBuildId:
    """Marks a setting that does not affect the release by itself: a location, or presentation.

    Pydantic fields are annotated with it; dataclass fields have it in their metadata (:attr:`metadata`).
    """

    why: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"$comment": f"Not part of the build id: {self.why}."}

    @property
    def metadata(self) -> dict[str, NotInBuildId]:
        return {type(self).__name__: self}


class Model(BaseModel):
    """A table of bundle.toml; unknown keys are errors. A key's docstring is its description in the reference."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

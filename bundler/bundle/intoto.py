"""Models shared by in-toto statements: https://github.com/in-toto/attestation, spec/v1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["STATEMENT_TYPE", "Part", "Resource", "StatementType"]

STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
StatementType = Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]


class Part(BaseModel):
    """Unknown keys are ignored, as in-toto requires."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Resource(Part):
    """A ResourceDescriptor."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, int | str] = Field(default_factory=dict)

"""The SBOM in a bundle -> what of it is looked at. It came with the bundle: nothing of its shape is taken on trust."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundler.errors import VerificationError
from bundler.printable import printable

__all__ = ["Edge", "Entry", "Sbom", "read_sbom"]

_REMEDY = "Build the bundle again; or audit the lockfile that it was built from."


class _Part(BaseModel):
    """Keys that nothing here looks at may be anything."""

    model_config = ConfigDict(populate_by_name=True, frozen=True, extra="ignore")


class _Property(_Part):
    name: str = ""
    value: str = ""


class Entry(_Part):
    """A component."""

    ref: Annotated[str, Field(alias="bom-ref", min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    version: str = ""
    purl: str = ""
    properties: tuple[_Property, ...] = ()

    def said(self, name: str) -> str:
        """The value of the first property of that name; empty if it has none."""
        return next((one.value for one in self.properties if one.name == name), "")


class Edge(_Part):
    """What a component depends on, by references."""

    ref: str
    depends_on: Annotated[tuple[str, ...], Field(alias="dependsOn")] = ()


class Sbom(_Part):
    """A CycloneDX document."""

    form: Annotated[str, Field(alias="bomFormat", pattern="^CycloneDX$")]
    version: Annotated[str, Field(alias="specVersion")]
    components: tuple[Entry, ...] = ()
    dependencies: tuple[Edge, ...] = ()


def read_sbom(content: bytes, *, where: str) -> Sbom:
    """Parse an SBOM. Raises :class:`VerificationError` for what is none."""
    try:
        found = Sbom.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "all of it"
        reason = f"{key}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    else:
        twice = [ref for ref, count in Counter(one.ref for one in found.components).items() if count > 1]
        if not twice:
            return found
        reason = f"two components have the bom-ref {twice[0]}"
    raise VerificationError(f"the SBOM is invalid: {printable(reason)}", where=where, remedy=_REMEDY)

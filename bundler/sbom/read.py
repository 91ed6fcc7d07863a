"""Parse the SBOM in a bundle, as far as it is used. Its structure is validated, since bundles are untrusted."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bundler.errors import VerificationError
from bundler.foreign import from_json
from bundler.printable import printable

__all__ = ["Edge", "Entry", "Sbom", "read_sbom"]

_REMEDY = "Build the bundle again; or audit the lockfile that it was built from."


class _Part(BaseModel):
    """Other keys are ignored."""

    model_config = ConfigDict(populate_by_name=True, frozen=True, extra="ignore")


class _Property(_Part):
    name: str = ""
    value: str = ""


class _Text(_Part):
    content: str = ""


class _License(_Part):
    name: str = ""
    text: _Text = _Text()


class _Choice(_Part):
    """An expression, or one license."""

    expression: str = ""
    license: _License = _License()


class _Evidence(_Part):
    licenses: tuple[_Choice, ...] = ()


class Entry(_Part):
    """A component."""

    ref: Annotated[str, Field(alias="bom-ref", min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    version: str = ""
    description: str = ""
    purl: str = ""
    properties: tuple[_Property, ...] = ()
    licenses: tuple[_Choice, ...] = ()
    evidence: _Evidence = _Evidence()

    @property
    def license(self) -> str:
        """An SPDX expression; empty if it has none."""
        return " AND ".join(filter(None, (choice.expression for choice in self.licenses)))

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Its license texts that are not blank, by their files' names."""
        found = (choice.license for choice in self.evidence.licenses)
        return tuple((one.name, one.text.content) for one in found if one.text.content.strip())

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
    """Parse an SBOM. Raises :class:`VerificationError` if it is invalid."""
    try:
        found = from_json(Sbom, content)
        _no_reference_twice(found)
    except ValueError as error:
        raise VerificationError(f"the SBOM is invalid: {printable(str(error))}", where=where, remedy=_REMEDY) from error
    return found


def _no_reference_twice(sbom: Sbom) -> None:
    counts = Counter(one.ref for one in sbom.components)
    for reference, count in counts.items():
        if count > 1:
            raise ValueError(f"two components have the bom-ref {reference}")

"""The documents of a bundle about itself, as they lie there: its SBOM and its provenance."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Literal

from bundler.bundle.provenance import WITHOUT_SUBJECT, Statement, read_provenance
from bundler.errors import VerificationError
from bundler.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.bundle.entries import DocumentEntry
    from bundler.bundle.index import Manifest
    from bundler.reader.open import OpenBundle

__all__ = ["document_of", "documents_of", "provenance_of", "provenance_problems"]

_Kind = Literal["SBOM", "provenance"]
_MISSING: dict[_Kind, str] = {
    "SBOM": "Build it again; or give the lockfile that it was built from, which is in it.",
    "provenance": "Build it again.",
}


def documents_of(bundle: OpenBundle) -> dict[_Kind, DocumentEntry]:
    """Those that the manifest names."""
    named: dict[_Kind, DocumentEntry | None] = {
        "SBOM": bundle.manifest.sbom,
        "provenance": bundle.manifest.provenance,
    }
    return {kind: said for kind, said in named.items() if said is not None}


def document_of(bundle: OpenBundle, kind: _Kind) -> bytes:
    """Its bytes. Raises :class:`VerificationError` if there is none, or if it is another one."""
    said = documents_of(bundle).get(kind)
    if said is None:
        sentence = f"it has no {kind}: it was made by {bundle.manifest.made_by}"
        raise VerificationError(sentence, where=str(bundle.path), remedy=_MISSING[kind])
    content = bundle.read(said.path)
    if hashlib.sha256(content).hexdigest() != said.sha256:
        raise VerificationError(
            f"{said.path} is not the one that manifest.json names",
            where=str(bundle.path),
            remedy="Copy the bundle again, and look at it with conda-bundler verify.",
        )
    return content


def provenance_of(bundle: OpenBundle) -> Statement:
    """What it says of how it was built. Raises :class:`VerificationError`."""
    return read_provenance(document_of(bundle, "provenance"), where=str(bundle.path))


def provenance_problems(statement: Statement, manifest: Manifest, digests: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each thing that a bundle's provenance says otherwise than the bundle, which has these digests."""
    told = statement.parameters
    if (told.name, told.platform) != (manifest.name, manifest.platform):
        yield printable(f"its provenance is of another bundle: {told.name} for {told.platform}")
    names = Counter(one.name for one in statement.subject)
    yield from (printable(f"its provenance names {name} twice") for name, count in names.items() if count > 1)
    subjects = {one.name: one.digest.get("sha256") for one in statement.subject}
    files = {name: digest for name, digest in digests.items() if name not in WITHOUT_SUBJECT}
    for name in sorted(subjects.keys() ^ files.keys()):
        why = "its provenance does not name it" if name in files else "its provenance names it, but it is missing"
        yield printable(f"{name}: {why}")
    for name in sorted(subjects.keys() & files.keys()):
        if subjects[name] != files[name]:
            yield f"{name} does not match its checksum in provenance.json"
    for one in statement.dependencies:
        if one.name in files and one.digest.get("sha256") != files[one.name]:
            yield printable(f"{one.name} is not the one that the bundle was built from, by its provenance")

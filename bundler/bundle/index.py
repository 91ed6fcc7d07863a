"""The manifest: ``manifest.json``, the bundle's index. Versioned schema, sorted keys, no data of the build machine.

:mod:`bundler.bundle.manifest` creates it, and all versions can read it: new keys are ignored, and keys that an older
bundle lacks have their default. Incompatible changes increase the schema version.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field

from bundler.bundle.entries import (
    DecompressorEntry,
    DocumentEntry,
    Entry,
    HookEntry,
    NoteEntry,
    Option,
    PackageEntry,
    PayloadEntry,
    RequiresEntry,
    ScriptEntry,
    SecretEntry,
    SegmentEntry,
    ServiceEntry,
    SharedEntry,
)
from bundler.errors import VerificationError
from bundler.foreign import parse_json, validate

__all__ = ["COPY_AGAIN", "SCHEMA", "Manifest", "read_manifest"]

SCHEMA = 1
"""The schema version, increased for incompatible changes; additional keys do not increase it."""
COPY_AGAIN = "Copy the bundle again, or build it again."

_BEHIND_PACKAGES = ("app/", "baked", "list")
"""The payload's last segments; the first of each part has its directories."""


class Manifest(Entry):
    """``options`` are the other keys of ``[bundle]`` that are part of the build id."""

    schema_: Annotated[int, Field(alias="schema")]
    made_by: str
    templates_sha256: str = ""
    name: str
    uid: Annotated[int, Field(ge=1, le=2**32 - 2)] | None = None
    version: str
    description: str
    platform: str
    build_id: str
    release: str
    root: str
    baked_prefix: str
    tree_digest: str
    payload: PayloadEntry
    decompressor: DecompressorEntry | None = None
    requires: RequiresEntry
    options: dict[str, Option] = Field(default_factory=dict)
    config: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[SecretEntry, ...] = ()
    services: tuple[ServiceEntry, ...]
    hooks: tuple[HookEntry, ...] = ()
    packages: tuple[PackageEntry, ...]
    sbom: DocumentEntry | None = None
    provenance: DocumentEntry | None = None
    notes: tuple[NoteEntry, ...] = ()
    shared: tuple[SharedEntry, ...] = ()
    link_scripts: tuple[ScriptEntry, ...] = ()

    @property
    def release_dir(self) -> str:
        """The release's absolute path at the default root."""
        return f"{self.root}/releases/{self.release}"

    def text(self) -> str:
        """The file's content."""
        document = self.model_dump(by_alias=True)
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def packed(self) -> dict[str, int]:
        """The number of bytes of the payload that belong to each package, by name."""
        names = tuple(segment.name for segment in self.payload.segments)
        behind = len(_BEHIND_PACKAGES) if names[-len(_BEHIND_PACKAGES) :] == _BEHIND_PACKAGES else 0
        begin = {part.offset for part in self.payload.parts} or {0}
        packages = {}
        for segment in self.payload.segments[: len(names) - behind]:
            if segment.offset in begin:
                begin.remove(segment.offset)  # its directories; the next segment may begin there, too
            else:
                packages[segment.name] = segment.length
        return packages

    def app_segment(self) -> SegmentEntry | None:
        """The segment with the user's own files; no package can have this name."""
        return next((segment for segment in self.payload.segments if segment.name == "app/"), None)


def read_manifest(content: bytes, *, where: str) -> Manifest:
    """Parse manifest.json. Raises :class:`VerificationError` if it is invalid, or has a later schema version."""
    try:
        document = parse_json(content)
    except ValueError as error:
        raise VerificationError(f"manifest.json is corrupted: {error}", where=where, remedy=COPY_AGAIN) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise VerificationError(
            f"manifest.json has schema version {schema}; this conda-bundler supports version {SCHEMA}",
            where=where,
            remedy=f"The bundle was built by {document.get('made_by', 'a later version')}: use that version or a "
            "later one.",
        )
    try:
        return validate(Manifest, document)
    except ValueError as error:
        raise VerificationError(f"manifest.json is invalid: {error}", where=where, remedy=COPY_AGAIN) from error

"""The manifest: ``manifest.json``, the bundle's index. Versioned schema, sorted keys, nothing of the build machine.

:mod:`bundler.bundle.manifest` makes it of a build, and any version reads it: a key that is new is passed over, one that
an older bundle has not is its default. What cannot be read at all has a higher schema.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, model_validator

from bundler.bundle.entries import (
    DecompressorEntry,
    Entry,
    FileEntry,
    HookEntry,
    LayerEntry,
    NoteEntry,
    Option,
    PackageEntry,
    RequiresEntry,
    ScriptEntry,
    SecretEntry,
    SegmentEntry,
    ServiceEntry,
    SharedEntry,
)
from bundler.errors import VerificationError
from bundler.pack.layers import APP, ENVIRONMENT, WHOLE
from bundler.units.context import Locations

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["COPY_AGAIN", "SCHEMA", "Manifest", "read_manifest"]

SCHEMA = 2
"""Raised when a reader of the one before would go wrong; a further key is none of its business."""
COPY_AGAIN = "Copy the bundle again, or build it again."

_BEHIND_PACKAGES = {ENVIRONMENT.name: ("baked", "list"), WHOLE.name: ("app/", "baked", "list")}
"""A payload's last segments; the first of each part has its directories."""


class Manifest(Entry):
    """``layers`` are the environment and the app; an older bundle has one payload with both.

    ``tree_digest`` is of all layers. ``options`` are the other keys of ``[bundle]`` that are part of the build id.
    """

    schema_: Annotated[int, Field(alias="schema")]
    made_by: str
    templates_sha256: str = ""
    name: str
    uid: Annotated[int, Field(ge=1, le=2**32 - 2)] | None = None
    version: str
    description: str
    platform: str
    build_id: str
    environment_id: str = ""
    release: str
    root: str
    baked_prefix: str
    tree_digest: str
    layers: Annotated[tuple[LayerEntry, ...], Field(min_length=1, max_length=2)]
    decompressor: DecompressorEntry | None = None
    requires: RequiresEntry
    options: dict[str, Option] = Field(default_factory=dict)
    config: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[SecretEntry, ...] = ()
    services: tuple[ServiceEntry, ...]
    hooks: tuple[HookEntry, ...] = ()
    packages: tuple[PackageEntry, ...]
    notes: tuple[NoteEntry, ...] = ()
    shared: tuple[SharedEntry, ...] = ()
    link_scripts: tuple[ScriptEntry, ...] = ()

    @property
    def release_dir(self) -> str:
        """The release's absolute path at the default root."""
        return f"{self.root}/releases/{self.release}"

    @property
    def locations(self) -> Locations:
        """Where it is installed at the default root."""
        return Locations(release=self.release_dir, environment=self.baked_prefix)

    def text(self) -> str:
        """As it is written."""
        document = self.model_dump(by_alias=True)
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @model_validator(mode="before")
    @classmethod
    def _with_layers(cls, document: Any) -> Any:
        """Schema 1 had one payload."""
        if isinstance(document, dict) and "payload" in document and "layers" not in document:
            others = {key: value for key, value in document.items() if key != "payload"}
            return others | {"layers": [document["payload"]]}
        return document

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if tuple(one.name for one in self.layers) not in ((ENVIRONMENT.name, APP.name), (WHOLE.name,)):
            raise ValueError("the layers are not an environment and an app")
        return self

    @property
    def environment(self) -> LayerEntry:
        """The layer with the environment."""
        return self.layers[0]

    @property
    def app(self) -> LayerEntry:
        """The layer with the user's own files."""
        return self.layers[-1]

    @property
    def payloads(self) -> tuple[str, ...]:
        """The layers' files."""
        return tuple(one.path for one in self.layers)

    @property
    def packed_size(self) -> int:
        """The payloads' bytes."""
        return sum(one.size for one in self.layers)

    @property
    def unpacked_size(self) -> int:
        return sum(one.unpacked_size for one in self.layers)

    @property
    def file_count(self) -> int:
        """Files and links."""
        return sum(one.files for one in self.layers)

    def largest(self, count: int) -> tuple[FileEntry, ...]:
        """The largest files, by their path below the release."""
        every = (file for layer in self.layers for file in layer.largest)
        return tuple(sorted(every, key=lambda file: (-file.size, file.path))[:count])

    def packed(self) -> dict[str, int]:
        """How many bytes of a payload are a package's alone, by its name."""
        layer = self.environment
        names = tuple(segment.name for segment in layer.segments)
        last = _BEHIND_PACKAGES[layer.name]
        behind = len(last) if names[-len(last) :] == last else 0
        begin = {part.offset for part in layer.parts} or {0}
        packages = {}
        for segment in layer.segments[: len(names) - behind]:
            if segment.offset in begin:
                begin.remove(segment.offset)  # its directories; what follows may begin there, too
            else:
                packages[segment.name] = segment.length
        return packages

    def app_segment(self) -> SegmentEntry | None:
        """The segment with the user's own files; no package can have this name."""
        return next((segment for segment in self.app.segments if segment.name == "app/"), None)


def read_manifest(content: bytes, *, where: str) -> Manifest:
    """Parse manifest.json. Raises :class:`VerificationError` for what is none, or is of a later schema."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"its manifest.json is damaged: {error}", where=where, remedy=COPY_AGAIN) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise VerificationError(
            f"its manifest has schema {schema}, and this conda-bundler knows {SCHEMA}",
            where=where,
            remedy=f"It was made by {document.get('made_by', 'a later version')}: use that, or a later one.",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise VerificationError(
            f"its manifest.json is not one: {key}: {first['msg']}", where=where, remedy=COPY_AGAIN
        ) from error

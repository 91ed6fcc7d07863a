"""The manifest as it is read back: :mod:`bundler.bundle.manifest` writes it, for any version to read.

A key that is new is passed over, one that an older bundle has not is empty. What cannot be read at all has a higher
schema.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundler.bundle.manifest import SCHEMA
from bundler.config.instances import numbered
from bundler.errors import VerificationError
from bundler.target.instances import unit_of
from bundler.target.libraries import HostLibrary, LibraryUser

__all__ = ["COPY_AGAIN", "Manifest", "PackageEntry", "PartEntry", "SegmentEntry", "read_manifest"]

COPY_AGAIN = "Copy the bundle again, or build it again."

_BEHIND_PACKAGES = ("app/", "baked", "list")
"""The payload's last segments; the first of each part has its directories."""

Count = Annotated[int, Field(ge=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class PartEntry(_Entry):
    """Some of the payload: where it lies, in bytes, and its digest."""

    offset: Count
    length: Count
    sha256: str


class SegmentEntry(PartEntry):
    """What is compressed by itself; ``name`` is the package's."""

    name: str


class FileEntry(_Entry):
    path: str
    size: Count


class PayloadEntry(_Entry):
    """Sizes are bytes; ``files`` counts files and links. ``parts`` are there if it has several. ``unpacked_sha256`` is
    what :func:`bundler.pack.listing.unpacked_sha256` makes of the tree."""

    path: str
    codec: Literal["gzip", "zstd", "xz", "none"]
    bytecode: str = ""
    sha256: str
    size: Count
    files: Count
    unpacked_size: Count
    unpacked_sha256: str = ""
    largest: tuple[FileEntry, ...] = ()
    segments: tuple[SegmentEntry, ...]
    parts: tuple[PartEntry, ...] = ()


class PackageEntry(_Entry):
    """``size`` is the archive's that it was linked from. A wheel has ``pip`` as its manager, no build and no subdir."""

    name: str
    manager: str = "conda"
    version: str
    build: str
    subdir: str
    url: str
    sha256: str
    size: Count
    injected: bool = False
    replaces: tuple[str, ...] = ()

    @property
    def channel(self) -> str:
        """The channel's URL, without subdir and file name; of a wheel, that of the server that it came from."""
        if self.manager == "conda" or self.injected:
            return self.url.rsplit("/", 2)[0]
        return "/".join(self.url.split("/", 3)[:3])

    @property
    def key(self) -> str:
        """What its segment is called by: see :class:`bundler.lock.lockfile.LockedPackage`."""
        return self.name if self.manager == "conda" else f"{self.manager}:{self.name}"


class NoteEntry(_Entry):
    """``owner`` is the package whose file is there instead, of a clobber."""

    kind: str
    package: str
    path: str
    owner: str = ""
    remedy: str = ""


class SharedEntry(_Entry):
    """A path below the prefix that several packages have; ``owner`` and ``others`` are their keys.

    ``same``: it is the same file in all of them. ``chosen``: bundle.toml says whose is used.
    """

    path: str
    owner: str
    others: tuple[str, ...]
    same: bool
    chosen: bool = False


class ScriptEntry(_Entry):
    """A package's script that was run at build, and what it has added, changed and removed of what can be packed."""

    package: str
    script: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class ExemptionEntry(_Entry):
    """Why a service is confined otherwise than by default; ``because`` is a file, a package, or a key of
    bundle.toml."""

    directive: str
    because: str = ""
    reason: str = ""


class OverrideEntry(_Entry):
    """Lines of a unit's that bundle.toml has taken away, and what is there instead."""

    section: str
    directive: str
    ours: tuple[str, ...] = ()
    now: tuple[str, ...] = ()


class SocketEntry(_Entry):
    """What systemd listens at for a service."""

    unit: str
    listen: str


class ServiceEntry(_Entry):
    """``health`` is the table of bundle.toml. Of a service with ``instances`` the units are templates."""

    unit: str
    health_unit: str | None = None
    timer: str | None = None
    socket: SocketEntry | None = None
    target: str | None = None
    watch_unit: str | None = None
    instances: Annotated[int, Field(ge=1, le=64)] | None = None
    reload: str | tuple[str, ...] | None = None
    gpu_unit: str | None = None
    profile: str = ""
    health: dict[str, Any] | None = None
    exemptions: tuple[ExemptionEntry, ...] = ()
    watch_exemptions: tuple[ExemptionEntry, ...] = ()
    gpu_exemptions: tuple[ExemptionEntry, ...] = ()
    overrides: tuple[OverrideEntry, ...] = ()

    def each(self) -> tuple[ServiceEntry, ...]:
        """What runs: the service itself, or an entry for each of its instances."""
        numbers = range(1, (self.instances or 0) + 1)
        return tuple(self._instance(number) for number in numbers) or (self,)

    def _instance(self, number: int) -> ServiceEntry:
        asked = {
            key: numbered(value, number) if key in ("http", "tcp") and value else value
            for key, value in (self.health or {}).items()
        }
        units = {
            key: unit_of(name, number) if name else None
            for key, name in (("health_unit", self.health_unit), ("watch_unit", self.watch_unit))
        }
        own = {"unit": unit_of(self.unit, number), "health": asked or None, "instances": None}
        return self.model_copy(update=own | units)

    def reason(self, unit: str, directive: str) -> str:
        """Why this unit of the service's is no better confined by this directive, as far as the build knows."""
        own = {self.watch_unit: self.watch_exemptions, self.gpu_unit: self.gpu_exemptions}
        told = own.get(unit, self.exemptions)
        found = (one for one in told if one.directive == directive)
        return next((f"{one.reason} ({one.because})" if one.because else one.reason for one in found), "")


class HookEntry(_Entry):
    """``key`` is that of ``[hooks]``; ``timeout`` is in seconds."""

    key: str
    unit: str
    service: str = ""
    command: tuple[str, ...] = ()
    timeout: int = 0


class SecretEntry(_Entry):
    """A secret's name and how the target makes it; nothing of a value is in any bundle."""

    model_config = ConfigDict(extra="allow")
    name: str
    bytes: Count = 0
    format: str = ""
    length: Count = 0
    delivery: str = "environment"

    def form(self) -> str:
        """All but the name, in a line."""
        said = self.model_dump()
        return ", ".join(f"{key} {said[key]}" for key in sorted(said) if key != "name")


class ToolPackage(_Entry):
    """A package that a bundle's own tools come from."""

    name: str
    version: str
    build: str = ""
    url: str = ""
    sha256: str = ""


class DecompressorEntry(_Entry):
    """The bundle's own decompressor: ``program`` and ``files`` are paths in the bundle."""

    program: str
    files: tuple[str, ...] = ()
    packages: tuple[ToolPackage, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{one.name} {one.version} {one.build}".rstrip() for one in self.packages)


class LibraryUserEntry(_Entry):
    package: str = ""
    path: str
    files: Count = 1


class LibraryEntry(_Entry):
    """What :class:`bundler.target.libraries.HostLibrary` says."""

    soname: str
    need: Literal["required", "optional"]
    because: str = ""
    needed_by: tuple[LibraryUserEntry, ...] = ()
    search: tuple[str, ...] = ()
    debian: str = ""
    rpm: str = ""
    conda: str = ""

    def row(self) -> tuple[str, ...]:
        """What install.sh has to say of it."""
        users = tuple(LibraryUser(**user.model_dump()) for user in self.needed_by)
        return HostLibrary(**self.model_dump(exclude={"needed_by"}), needed_by=users).row()


class RequiresEntry(_Entry):
    machine: str
    glibc: str = ""
    linux: str = ""
    archspec: str = ""
    cuda: str = ""
    cuda_arch: str = ""
    gpu: bool = False
    systemd: Count = 239
    libraries: tuple[LibraryEntry, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """For people: each thing that a server must have beside what every server has."""
        cuda = f" with CUDA {self.cuda} or later" if self.cuda else ""
        return (
            self.machine,
            *([f"a processor of level {self.archspec} or higher"] if self.archspec else []),
            *([f"glibc {self.glibc} or later"] if self.glibc else []),
            *([f"Linux {self.linux} or later"] if self.linux else []),
            *([f"an NVIDIA driver{cuda}" + ("" if self.gpu else ", if there is one")] if self.gpu or cuda else []),
            *([f"GPUs of compute capability {self.cuda_arch} or higher"] if self.cuda_arch else []),
            f"systemd {self.systemd} or later",
        )


class OptionsEntry(_Entry):
    """What bundle.toml says of the build and shows nowhere else."""

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class Manifest(_Entry):
    """Design section 1: the bundle's index."""

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
    options: OptionsEntry = OptionsEntry()
    config: dict[str, str] = {}
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

    def packed(self) -> dict[str, int]:
        """How many bytes of the payload are a package's alone, by its name."""
        names = tuple(segment.name for segment in self.payload.segments)
        behind = len(_BEHIND_PACKAGES) if names[-len(_BEHIND_PACKAGES) :] == _BEHIND_PACKAGES else 0
        begin = {part.offset for part in self.payload.parts} or {0}
        packages = {}
        for segment in self.payload.segments[: len(names) - behind]:
            if segment.offset in begin:
                begin.remove(segment.offset)  # its directories; what follows may begin there, too
            else:
                packages[segment.name] = segment.length
        return packages

    def app_segment(self) -> SegmentEntry | None:
        """The segment with the user's own files; no package can have this name."""
        return next((segment for segment in self.payload.segments if segment.name == "app/"), None)


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

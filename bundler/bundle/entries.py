"""The manifest's entries: the models that :mod:`bundler.bundle.manifest` writes and :mod:`bundler.bundle.index` reads.

Older versions ignore new keys, and keys that an older bundle lacks have their default. All keys are written.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bundler.config.instances import numbered
from bundler.config.tables import Secret
from bundler.units.instances import unit_of
from bundler.units.libraries import HostLibrary, LibraryUser

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from typing_extensions import Self

__all__ = [
    "Count",
    "DecompressorEntry",
    "DocumentEntry",
    "Entry",
    "ExemptionEntry",
    "FileEntry",
    "HookEntry",
    "LibraryEntry",
    "LibraryUserEntry",
    "NoteEntry",
    "Option",
    "OverrideEntry",
    "PackageEntry",
    "PartEntry",
    "PayloadEntry",
    "RequiresEntry",
    "ScriptEntry",
    "SecretEntry",
    "SegmentEntry",
    "ServiceEntry",
    "SharedEntry",
    "SocketEntry",
    "StartedEntry",
    "ToolPackage",
]

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
_Value = str | bool | int | float | None
Option = _Value | tuple[_Value | tuple[_Value, ...], ...]
"""The value of a key in ``[bundle]``; for a table its entries, as pairs."""


class Entry(BaseModel):
    """A part of the manifest."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @classmethod
    def of(cls, written: DataclassInstance) -> Self:
        """The entry for a build's object. Raises TypeError unless both have the same fields, so that none is lost."""
        fields = asdict(written)
        if fields.keys() != cls.model_fields.keys():
            raise TypeError(f"{cls.__name__} has other fields than {type(written).__name__}")
        return cls(**fields)


class PartEntry(Entry):
    """A byte range of the payload and its digest."""

    offset: Count
    length: Count
    sha256: str


class SegmentEntry(PartEntry):
    """A separately compressed segment; ``name`` is the package's.

    ``id`` identifies its unpacked content (:func:`bundler.pack.contents.content_id`), ``files`` is the number of files
    and links, ``kib`` their size on disk. The first bundles of 0.1.0 lack these.
    """

    name: str
    id: Annotated[str, StringConstraints(pattern="^(-|[0-9a-f]{64})?$")] = ""
    files: Count = 0
    kib: Count = 0


class FileEntry(Entry):
    path: str
    size: Count


class PayloadEntry(Entry):
    """Sizes are in bytes; ``files`` counts files and links. ``parts`` is empty if there is only one.
    ``unpacked_sha256`` is :func:`bundler.pack.listing.unpacked_sha256` of the tree.

    ``installed_files`` and ``installed_kib`` include bytecode that the server compiles; ``longest`` is the maximum
    length of the release's path in bytes (0: no limit), ``clients`` are the HTTP clients for health checks.
    """

    path: str
    codec: Annotated[str, StringConstraints(pattern="^(gzip|zstd|xz|none)$")]
    bytecode: str = ""
    sha256: str
    size: Count
    files: Count
    unpacked_size: Count
    unpacked_sha256: str = ""
    largest: tuple[FileEntry, ...] = ()
    segments: tuple[SegmentEntry, ...]
    parts: tuple[PartEntry, ...] = ()
    installed_files: Count = 0
    installed_kib: Count = 0
    longest: Count = 0
    clients: tuple[str, ...] = ()


class PackageEntry(Entry):
    """``size`` is that of the archive. The manager of a wheel is ``pip``; it has no build and no subdir."""

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
        """The name of its segment: see :class:`bundler.locked.LockedPackage`."""
        return self.name if self.manager == "conda" else f"{self.manager}:{self.name}"


class NoteEntry(Entry):
    """``owner`` is the package whose file is used instead, for a clobber."""

    kind: str
    package: str
    path: str
    owner: str = ""
    remedy: str = ""


class SharedEntry(Entry):
    """A path below the prefix that several packages provide; ``owner`` and ``others`` are their keys.

    ``same``: the file is identical in all of them. ``chosen``: bundle.toml decides whose file is used.
    """

    path: str
    owner: str
    others: tuple[str, ...]
    same: bool
    chosen: bool = False


class ScriptEntry(Entry):
    """A package's script that was run by the build, and the packable files that it added, changed and removed."""

    package: str
    script: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class ExemptionEntry(Entry):
    """Why a service's sandbox differs from the default; ``because`` is a file, a package, or a key of bundle.toml.
    ``values`` are the directive's values instead; if there are none, it is left out."""

    directive: str
    values: tuple[str, ...] = ()
    because: str = ""
    reason: str = ""


class OverrideEntry(Entry):
    """Lines of a unit that bundle.toml has replaced, and the replacement."""

    section: str
    directive: str
    ours: tuple[str, ...] = ()
    now: tuple[str, ...] = ()


class SocketEntry(Entry):
    """The address on which systemd listens for a service."""

    unit: str
    listen: str


class StartedEntry(Entry):
    """A unit that install.sh starts and waits for: see :class:`bundler.installer.render.InstallService`."""

    unit: str
    health_unit: str = ""
    start_period: Seconds = 0
    timeout: Seconds = 0
    url: str = ""


class ServiceEntry(Entry):
    """``health`` and ``network`` are as in bundle.toml. With ``instances``, the units are templates, and ``started``
    has an entry for each instance. ``own_user`` is empty if it runs as the bundle's user."""

    unit: str
    own_user: Annotated[str, StringConstraints(pattern="^([a-z][a-z0-9-]{0,30})?$")] = ""
    uid: Annotated[int, Field(ge=1, le=2**32 - 2)] | None = None
    health_unit: str | None = None
    timer: str | None = None
    socket: SocketEntry | None = None
    target: str | None = None
    watch_unit: str | None = None
    instances: Annotated[int, Field(ge=1, le=64)] | None = None
    reload: str | tuple[str, ...] | None = None
    gpu_unit: str | None = None
    profile: str = ""
    hardening: str = ""
    network: str | tuple[str, ...] | None = None
    started: tuple[StartedEntry, ...] = ()
    health: dict[str, Any] | None = None
    exemptions: tuple[ExemptionEntry, ...] = ()
    watch_exemptions: tuple[ExemptionEntry, ...] = ()
    gpu_exemptions: tuple[ExemptionEntry, ...] = ()
    overrides: tuple[OverrideEntry, ...] = ()

    @property
    def name(self) -> str:
        """Its key in bundle.toml."""
        return self.unit.removesuffix(".service").removesuffix("@")

    def each(self) -> tuple[ServiceEntry, ...]:
        """The units that run: the service itself, or its instances."""
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
        """Why this directive of one of the service's units is not the default, as far as the build knows."""
        own = {self.watch_unit: self.watch_exemptions, self.gpu_unit: self.gpu_exemptions}
        told = own.get(unit, self.exemptions)
        found = (one for one in told if one.directive == directive)
        return next((f"{one.reason} ({one.because})" if one.because else one.reason for one in found), "")


class HookEntry(Entry):
    """``key`` is that of ``[hooks]``; ``timeout`` is in seconds."""

    key: str
    unit: str
    service: str = ""
    command: tuple[str, ...] = ()
    timeout: int = 0


class SecretEntry(Entry):
    """A secret's name and how the server generates it; no bundle contains values."""

    model_config = ConfigDict(extra="allow")
    name: str
    bytes: Count = 0
    format: str = ""
    length: Count = 0
    delivery: str = "environment"

    def secret(self) -> Secret:
        """The values for install.sh."""
        return Secret(name=self.name, bytes=self.bytes, format=self.format, length=self.length, delivery=self.delivery)

    def form(self) -> str:
        """All fields except the name, in a line."""
        said = self.model_dump()
        return ", ".join(f"{key} {said[key]}" for key in sorted(said) if key != "name")


class ToolPackage(Entry):
    """A package from which a bundle's own tools come."""

    name: str
    version: str
    build: str = ""
    url: str = ""
    sha256: str = ""


class DecompressorEntry(Entry):
    """The bundle's own decompressor: ``program`` and ``files`` are paths in the bundle, and take ``kib`` unpacked.
    ``loader`` and ``glibc`` are what a machine must have for it, empty if it needs none."""

    program: str
    loader: str = ""
    glibc: str = ""
    kib: Count = 0
    files: tuple[str, ...] = ()
    packages: tuple[ToolPackage, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{one.name} {one.version} {one.build}".rstrip() for one in self.packages)


class DocumentEntry(Entry):
    """A document about the bundle, its SBOM or its provenance: its path in the bundle and its digest."""

    path: str
    sha256: str


class LibraryUserEntry(Entry):
    package: str = ""
    path: str
    files: Count = 1


class LibraryEntry(Entry):
    """See :class:`bundler.units.libraries.HostLibrary`."""

    soname: str
    need: Literal["required", "optional"]
    because: str = ""
    needed_by: tuple[LibraryUserEntry, ...] = ()
    search: tuple[str, ...] = ()
    debian: str = ""
    rpm: str = ""
    conda: str = ""

    def library(self) -> HostLibrary:
        """The values for install.sh."""
        users = tuple(LibraryUser(**user.model_dump()) for user in self.needed_by)
        return HostLibrary(**self.model_dump(exclude={"needed_by"}), needed_by=users)


class RequiresEntry(Entry):
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
        """The special requirements for a server, for people."""
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

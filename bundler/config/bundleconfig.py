"""BundleConfig: the whole configuration of a build."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from bundler.config.fields import NotInBuildId
from bundler.config.files import AppFile
from bundler.config.namedhooks import Hook, named_hooks
from bundler.config.overrides import Overrides
from bundler.config.platforms import PlatformTable
from bundler.config.services import Service, ServiceTable
from bundler.config.sockets import resolve_socket
from bundler.config.tables import ReleaseTable, Secret, SecretForm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.config.hooks import HooksTable
    from bundler.config.lockfiles import Lockfiles
    from bundler.config.model import BundleFile, BundleTable
    from bundler.fetch.channels import Access

__all__ = ["BundleConfig"]

_LOCATION = NotInBuildId("location").metadata
_FOR_LOCKING = NotInBuildId("how packages are found; the locked packages count").metadata


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """The whole configuration of a build, validated, with absolute paths.

    ``tables`` is bundle.toml with the command line's overrides. The metadata of every other field says why it is not
    part of the build id (:class:`~bundler.config.fields.NotInBuildId`).
    """

    tables: BundleFile
    directory: Path = field(metadata=_LOCATION)
    source: str = field(metadata=NotInBuildId("presentation").metadata)
    """The configuration's name in messages: ``bundle.toml``, or ``command line``."""
    platforms: tuple[str, ...] = field(metadata=NotInBuildId("each platform's bundle is built separately").metadata)
    """The platforms to build for."""
    project_platforms: tuple[str, ...] = field(metadata=_FOR_LOCKING)
    """The platforms to lock for: those in bundle.toml and those to build for."""
    environments: tuple[Path, ...] = field(metadata=_LOCATION)
    lockfiles: Lockfiles = field(metadata=_LOCATION)
    channels: tuple[str, ...] = field(metadata=_FOR_LOCKING)
    """Replaces the environment file's channels unless it is empty."""
    access: Access = field(metadata=NotInBuildId("how archives are fetched; their digests count").metadata)
    virtual_packages: Path | None = field(metadata=_FOR_LOCKING)
    """A file with the servers' virtual packages, for the solver, instead of ``platform_tables``."""
    given: Overrides = field(default=Overrides(), metadata=NotInBuildId("applied to the tables").metadata)
    """The command line's overrides."""
    source_sha256: str = field(default="", metadata=NotInBuildId("the tables count").metadata)
    """The digest of bundle.toml; empty without one."""

    @property
    def bundle(self) -> BundleTable:
        """``[bundle]``."""
        return self.tables.bundle

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def version(self) -> str:
        """The version; ``load_config`` has checked that there is one."""
        return self.bundle.version or ""

    @property
    def description(self) -> str:
        return self.bundle.description or self.name

    @property
    def categories(self) -> tuple[str, ...]:
        return self.bundle.categories

    @property
    def platform_tables(self) -> tuple[tuple[str, PlatformTable], ...]:
        return tuple(sorted(self.tables.platforms.items()))

    @property
    def files(self) -> tuple[AppFile, ...]:
        return tuple(AppFile.of(to, entry, self.directory) for to, entry in sorted(self.tables.files.items()))

    @property
    def config(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.tables.config.items())

    @property
    def secrets(self) -> tuple[Secret, ...]:
        forms = {"RELEASE_COOKIE": SecretForm(), **self.tables.secrets}
        return tuple(form.named(name) for name, form in sorted(forms.items()) if form)

    @property
    def release(self) -> ReleaseTable:
        return self.tables.release

    @property
    def hooks_table(self) -> HooksTable:
        return self.tables.hooks

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks, run when the release is activated or left."""
        return named_hooks(self.name, self.hooks_table, self.services)

    @cached_property
    def services(self) -> tuple[Service, ...]:
        return tuple(_service(name, table, self.tables.config) for name, table in self.tables.services.items())

    @property
    def spec_name(self) -> str:
        """The name of the environment files in messages."""
        return ", ".join(path.name for path in self.environments) or self.lockfiles.told

    @property
    def lockfile(self) -> Path:
        """The first lockfile with conda packages; `conda-bundler lock` writes it, if it is a conda-lock.yml."""
        return self.lockfiles.conda[0]

    @property
    def root(self) -> str:
        """The bundle's default root on the server."""
        return f"/opt/{self.name}"

    def platform_table(self, platform: str) -> PlatformTable:
        """``[platforms.<name>]``, or its defaults."""
        return self.tables.platforms.get(platform, PlatformTable())

    def with_bundle(self, **keys: object) -> BundleConfig:
        """A copy with different values in ``[bundle]``, which are not validated again."""
        return replace(self, tables=self.tables.model_copy(update={"bundle": self.bundle.model_copy(update=keys)}))


def _service(name: str, table: ServiceTable, settings: Mapping[str, str]) -> Service:
    try:
        socket = resolve_socket(table.socket, name, settings) if table.socket else None
    except ValueError:
        socket = None  # the consistency check reports why
    return Service(name=name, table=table, socket=socket)

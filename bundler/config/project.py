"""bundle.toml and the command line -> :class:`BundleConfig`.

The file's format is design section 3. All mistakes are reported at once, each with its key's path.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bundler.config.consistency import inconsistencies
from bundler.config.fields import NotInBuildId
from bundler.config.files import AppFile, FileTable
from bundler.config.hooks import Hook, named_hooks
from bundler.config.lockfiles import Lockfiles, sort_lockfiles
from bundler.config.model import BundleFile
from bundler.config.overrides import CONFIG_NAME, Overrides, chosen_platforms
from bundler.config.platforms import PlatformTable
from bundler.config.sentences import sentences
from bundler.config.services import Service, ServiceTable
from bundler.config.sockets import resolve_socket
from bundler.config.tables import ReleaseTable, Secret, SecretForm
from bundler.errors import ConfigError
from bundler.platforms import VIRTUAL_PACKAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.config.hooks import HooksTable
    from bundler.config.model import BundleTable
    from bundler.fetch.channels import Access

__all__ = ["AppFile", "BundleConfig", "FileTable", "Overrides", "ReleaseTable", "Secret", "Service", "load_config"]


_LOCATION = NotInBuildId("location").metadata
_FOR_LOCKING = NotInBuildId("how packages are found; those that are locked count").metadata


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """Everything that a build is told, checked, with absolute paths.

    ``tables`` is bundle.toml with the command line laid over it. A field beside it says in its metadata why it is no
    part of the build id (:class:`~bundler.config.fields.NotInBuildId`).
    """

    tables: BundleFile
    directory: Path = field(metadata=_LOCATION)
    source: str = field(metadata=NotInBuildId("presentation").metadata)
    """What to call the configuration in messages: ``bundle.toml``, or ``command line``."""
    platforms: tuple[str, ...] = field(metadata=NotInBuildId("each platform's bundle is a build of its own").metadata)
    """Those that are asked for."""
    project_platforms: tuple[str, ...] = field(metadata=_FOR_LOCKING)
    """Those that the lockfile is for: what bundle.toml names, and what is asked for."""
    environments: tuple[Path, ...] = field(metadata=_LOCATION)
    lockfiles: Lockfiles = field(metadata=_LOCATION)
    channels: tuple[str, ...] = field(metadata=_FOR_LOCKING)
    """Replaces the environment spec's channels if it is not empty."""
    access: Access = field(metadata=NotInBuildId("how archives are fetched, each of which has one digest").metadata)
    virtual_packages: Path | None = field(metadata=_FOR_LOCKING)
    """What the target has, for the solver, instead of ``platform_tables``."""

    @property
    def bundle(self) -> BundleTable:
        """``[bundle]``."""
        return self.tables.bundle

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def version(self) -> str:
        """:func:`load_config` has seen to it that there is one."""
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
        """What is run when a release takes over, or is left."""
        return named_hooks(self.name, self.hooks_table, self.services)

    @cached_property
    def services(self) -> tuple[Service, ...]:
        return tuple(_service(name, table, self.tables.config) for name, table in self.tables.services.items())

    @property
    def spec_name(self) -> str:
        """What to call the environment spec in messages."""
        return ", ".join(path.name for path in self.environments) or self.lockfiles.told

    @property
    def lockfile(self) -> Path:
        """The one with the conda packages, or the first of them: what `conda-bundler lock` writes, if it is its own."""
        return self.lockfiles.conda[0]

    @property
    def root(self) -> str:
        """Where the bundle lives on the target unless the operator says otherwise."""
        return f"/opt/{self.name}"

    def platform_table(self, platform: str) -> PlatformTable:
        """What ``[platforms.<name>]`` says, or what stands for it."""
        return self.tables.platforms.get(platform, PlatformTable())

    def with_bundle(self, **keys: object) -> BundleConfig:
        """The same with other values of ``[bundle]``, which are not checked again."""
        return replace(self, tables=self.tables.model_copy(update={"bundle": self.bundle.model_copy(update=keys)}))


def load_config(directory: Path, overrides: Overrides | None = None) -> BundleConfig:
    """Read ``directory/bundle.toml``, lay the command line over it and check the whole.

    Without a bundle.toml, ``overrides`` must name the bundle. Raises :class:`ConfigError` with every mistake
    that was found.
    """
    overrides = overrides or Overrides()
    path = directory / CONFIG_NAME
    if path.is_file():
        document, source = _read_toml(path), CONFIG_NAME
    elif overrides.environments or overrides.name:
        document, source = {"bundle": {}}, "command line"
    else:
        raise ConfigError(
            f"no {CONFIG_NAME} in {directory}",
            remedy="Give the project's directory, or pass --environment, --name, --bundle-version and --command.",
        )
    _apply(overrides, document)
    try:
        parsed = BundleFile.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            _joined(sentences(error, document)),
            where=source,
            remedy="See docs/reference/bundle-toml.md, or: conda-bundler schema",
        ) from error
    config = _resolve(parsed, directory=directory.resolve(), source=source, overrides=overrides)
    _check(config)
    return config


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, numbers too large, too deep
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _apply(overrides: Overrides, document: dict[str, Any]) -> None:
    bundle = document.setdefault("bundle", {})
    if not isinstance(bundle, dict):
        return  # the model says what is wrong with it
    if overrides.name:
        bundle["name"] = overrides.name
    if overrides.version:
        bundle["version"] = overrides.version
    services = document.setdefault("services", {})
    if overrides.command and isinstance(services, dict):
        name = str(bundle.get("name"))
        services[name] = {**services.get(name, {}), "command": list(overrides.command)}


def _resolve(parsed: BundleFile, *, directory: Path, source: str, overrides: Overrides) -> BundleConfig:
    bundle = parsed.bundle
    if bundle.version is None:
        raise ConfigError(
            "bundle.version: version is required",
            where=source,
            remedy="Set it in bundle.toml, or pass --bundle-version (in CI: the tag).",
        )
    platforms = chosen_platforms(bundle.platforms or tuple(parsed.platforms), overrides.platforms, source)
    lockfiles = _lockfiles(bundle, parsed.platforms, directory, source)
    environments = _environments(bundle, directory, overrides, lockfiles)
    if source != CONFIG_NAME:
        lockfiles = replace(lockfiles, conda=(environments[0].with_name("conda-lock.yml"),))
    categories = tuple(dict.fromkeys((*bundle.categories, *overrides.categories)))
    return BundleConfig(
        tables=parsed.model_copy(update={"bundle": bundle.model_copy(update={"categories": categories})}),
        directory=directory,
        source=source,
        platforms=platforms,
        project_platforms=tuple(dict.fromkeys((*(bundle.platforms or parsed.platforms), *platforms))),
        environments=environments,
        lockfiles=lockfiles,
        channels=overrides.channels,
        access=parsed.channels.access(offline=overrides.offline),
        virtual_packages=overrides.virtual_packages,
    )


def _service(name: str, table: ServiceTable, settings: Mapping[str, str]) -> Service:
    try:
        socket = resolve_socket(table.socket, name, settings) if table.socket else None
    except ValueError:
        socket = None  # the consistency check says why
    return Service(name=name, table=table, socket=socket)


def _lockfiles(bundle: BundleTable, platforms: Mapping[str, PlatformTable], directory: Path, source: str) -> Lockfiles:
    named = (bundle.lockfile,) if isinstance(bundle.lockfile, str) else bundle.lockfile
    found = sort_lockfiles((directory / name for name in named), where=source)
    glibc = tuple(sorted((name, table.glibc) for name, table in platforms.items()))
    return replace(found, environment=bundle.lockfile_environment, glibc=glibc)


def _environments(bundle: BundleTable, directory: Path, overrides: Overrides, lockfiles: Lockfiles) -> tuple[Path, ...]:
    """The environment specs; there need be none if another tool has written the lockfile."""
    if overrides.environments:
        return tuple(path.resolve() for path in overrides.environments)
    if bundle.environment is None:
        usual = directory / "environment.yml"
        return (usual,) if lockfiles.written_by_us or usual.is_file() else ()
    named = (bundle.environment,) if isinstance(bundle.environment, str) else bundle.environment
    return tuple(directory / name for name in named)


def _check(config: BundleConfig) -> None:
    """What no single key can know: files that are missing, names that meet."""
    problems = [
        f"files.{file.target}: no such file or directory: {file.source}"
        for file in config.files
        if not os.path.lexists(file.source)  # where a link leads is looked into when the files are
    ]
    problems += [f"bundle.environment: no such file: {path}" for path in config.environments if not path.is_file()]
    if config.virtual_packages and not config.virtual_packages.is_file():
        problems.append(f"--virtual-packages: no such file: {config.virtual_packages}")
    if not config.services:
        problems.append("services: a bundle needs at least one [services.<name>] table (or --command)")
    problems += [*_platform_mistakes(config), *inconsistencies(config)]
    if problems:
        raise ConfigError(_joined(problems), where=config.source)


def _platform_mistakes(config: BundleConfig) -> list[str]:
    problems = []
    for name, table in config.platform_tables:
        if name not in config.project_platforms:
            problems.append(f"platforms.{name}: bundle.platforms does not list this platform")
        if table.archspec and name != "linux-64":
            problems.append(f"platforms.{name}.archspec: only linux-64 has microarchitecture levels")
    if not config.environments:
        return problems
    environment = config.environments[0]
    beside = [path for path in map(environment.with_name, VIRTUAL_PACKAGES) if path.exists()]
    if config.platform_tables and beside and not config.virtual_packages:
        problems.append(f"platforms: {beside[0].name} beside {environment.name} sets the same value; keep one of them")
    return problems


def _joined(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else "\n  - ".join([f"{len(problems)} problems:", *problems])

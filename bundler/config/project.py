"""bundle.toml and the command line -> :class:`BundleConfig`.

The file's format is design section 3. All mistakes are reported at once, each with its key's path.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from bundler.config import patterns
from bundler.config.consistency import inconsistencies
from bundler.config.fields import Inside, Line, Model, Name, Setting, Variable
from bundler.config.files import AppFile, FilesTable, FileTable
from bundler.config.hooks import Hook, HooksTable, named_hooks
from bundler.config.lockfiles import Lockfiles, sort_lockfiles
from bundler.config.overrides import CONFIG_NAME, Overrides, chosen_platforms
from bundler.config.platforms import Platform, PlatformTable
from bundler.config.sentences import sentences
from bundler.config.services import Service, ServiceTable
from bundler.config.sockets import resolve_socket
from bundler.config.tables import ChannelsTable, LockTable, ReleaseTable, Secret, SecretForm
from bundler.config.users import Uid  # noqa: TC001 -- pydantic reads it while it runs
from bundler.cooldown import as_text
from bundler.errors import ConfigError
from bundler.platforms import VIRTUAL_PACKAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.fetch.channels import Access

__all__ = ["AppFile", "BundleConfig", "FileTable", "Overrides", "ReleaseTable", "Secret", "Service", "load_config"]


Version = Annotated[str, StringConstraints(pattern=patterns.VERSION)]
PackageName = Annotated[str, StringConstraints(pattern=r"^((conda|pip):)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$")]
Library = Annotated[str, StringConstraints(pattern=r"^[!-~]+$")]


class _BundleTable(Model):
    name: Name
    uid: Uid | None = None
    """The number of the bundle's user, and of its group, on every server; the next that is free unless said."""
    version: Version | None = None
    description: Line = ""
    platforms: Annotated[tuple[Platform, ...], Field(min_length=1)] | None = None
    environment: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """One file, or several that together make one environment; environment.yml unless said."""
    categories: tuple[Line, ...] = ("main",)
    """Which of conda-lock's categories go into the bundle; ``main`` always does."""
    lockfile: str | Annotated[tuple[str, ...], Field(min_length=1)] = "conda-lock.yml"
    """A conda-lock.yml, pixi.lock or @EXPLICIT file; in a list @EXPLICIT files of several platforms, and a pylock.toml
    or uv.lock for the wheels."""
    lockfile_environment: Line | None = None
    """The environment of a pixi.lock; default unless said."""
    exclude: tuple[Line, ...] = ()
    include: tuple[Line, ...] = ()
    inject: tuple[Line, ...] = ()
    owners: dict[Inside, PackageName] = Field(default_factory=dict)
    """Whose file is used where packages have different ones: a path below the prefix, or a pattern (fnmatch) of such,
    and a package's name; ``conda:`` or ``pip:`` before it tells a conda package from a wheel of that name. An exact
    path goes before patterns, and of these the first that matches."""
    link_scripts: Literal["all"] | tuple[Line, ...] = ()
    """Packages whose pre-link and post-link scripts are run at build, in a cage without network; or "all" of them."""
    bytecode: Literal["build", "install", "none"] = "build"
    libraries: dict[Library, Literal["required", "optional"]] = Field(default_factory=dict)
    """Libraries that the server has, or may have: names or patterns."""


class _File(Model):
    """bundle.toml as it stands."""

    bundle: _BundleTable
    platforms: dict[Platform, PlatformTable] = Field(default_factory=dict)
    files: FilesTable = Field(default_factory=dict)
    config: dict[Variable, Setting] = Field(default_factory=dict)
    secrets: dict[Variable, SecretForm | Literal[False]] = Field(default_factory=dict)
    release: ReleaseTable = ReleaseTable()
    channels: ChannelsTable = ChannelsTable()
    lock: LockTable = LockTable()
    hooks: HooksTable = HooksTable()
    services: dict[Name, ServiceTable] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """Everything that a build is told, checked, with absolute paths."""

    directory: Path
    source: str
    """What to call the configuration in messages: ``bundle.toml``, or ``command line``."""
    name: str
    uid: int | None
    """The number of its user and group; None: the next that is free on each server."""
    version: str
    description: str
    platforms: tuple[str, ...]
    """Those that are asked for."""
    project_platforms: tuple[str, ...]
    """Those that the lockfile is for: what bundle.toml names, and what is asked for."""
    platform_tables: tuple[tuple[str, PlatformTable], ...]
    environments: tuple[Path, ...]
    categories: tuple[str, ...]
    lockfiles: Lockfiles
    channels: tuple[str, ...]
    """Replaces the environment spec's channels if it is not empty."""
    default_channel: str
    """The channel of an environment spec that names none."""
    access: Access
    relations: bool
    """Whether channels that the channels name are taken in."""
    exclude_newer: str | None
    """An age or a date, or a table of such (:mod:`bundler.cooldown`): nothing newer is locked."""
    virtual_packages: Path | None
    """What the target has, for the solver, instead of ``platform_tables``."""
    files: tuple[AppFile, ...]
    exclude: tuple[str, ...]
    """Patterns of files below the prefix that are left out, and in ``include`` of those that are taken back in."""
    include: tuple[str, ...]
    inject: tuple[str, ...]
    """Patterns (glob, from ``directory``) of wheels and conda packages that come from no channel and no index."""
    owners: tuple[tuple[str, str], ...]
    """Paths or patterns of such, and the package whose file is used; see :mod:`bundler.sharing.owners`."""
    link_scripts: tuple[str, ...] | Literal["all"]
    """Packages whose own scripts may run at build."""
    bytecode: Literal["build", "install", "none"]
    """Where it is made."""
    libraries: tuple[tuple[str, Literal["required", "optional"]], ...]
    """Names or patterns of libraries that the bundle does not bring, and whether it can do without them."""
    config: tuple[tuple[str, str], ...]
    secrets: tuple[Secret, ...]
    release: ReleaseTable
    services: tuple[Service, ...]
    hooks_table: HooksTable

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """What is run when a release takes over, or is left."""
        return named_hooks(self.name, self.hooks_table, self.services)

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
        return dict(self.platform_tables).get(platform, PlatformTable())


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
            f"there is no {CONFIG_NAME} in {directory}",
            remedy="Name its directory, or give --environment, --name, --bundle-version and --command.",
        )
    _apply(overrides, document)
    try:
        parsed = _File.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            _joined(sentences(error, document)), where=source, remedy="See the README's table of bundle.toml keys."
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


def _resolve(parsed: _File, *, directory: Path, source: str, overrides: Overrides) -> BundleConfig:
    bundle = parsed.bundle
    if bundle.version is None:
        raise ConfigError(
            "bundle.version: there is no version",
            where=source,
            remedy="Set it, or pass --bundle-version (a tag, in CI).",
        )
    forms = {"RELEASE_COOKIE": SecretForm(), **parsed.secrets}
    platforms = chosen_platforms(bundle.platforms or tuple(parsed.platforms), overrides.platforms, source)
    lockfiles = _lockfiles(bundle, parsed.platforms, directory, source)
    environments = _environments(bundle, directory, overrides, lockfiles)
    if source != CONFIG_NAME:
        lockfiles = replace(lockfiles, conda=(environments[0].with_name("conda-lock.yml"),))
    return BundleConfig(
        directory=directory,
        source=source,
        name=bundle.name,
        uid=bundle.uid,
        version=bundle.version,
        description=bundle.description or bundle.name,
        platforms=platforms,
        project_platforms=tuple(dict.fromkeys((*(bundle.platforms or parsed.platforms), *platforms))),
        platform_tables=tuple(sorted(parsed.platforms.items())),
        environments=environments,
        categories=tuple(dict.fromkeys((*bundle.categories, *overrides.categories))),
        lockfiles=lockfiles,
        channels=overrides.channels,
        default_channel=parsed.channels.default,
        access=parsed.channels.access(offline=overrides.offline),
        relations=parsed.channels.relations,
        exclude_newer=None if parsed.lock.exclude_newer is None else as_text(parsed.lock.exclude_newer),
        virtual_packages=overrides.virtual_packages,
        files=tuple(AppFile.of(to, entry, directory) for to, entry in sorted(parsed.files.items())),
        exclude=bundle.exclude,
        include=bundle.include,
        inject=bundle.inject,
        owners=tuple(bundle.owners.items()),
        link_scripts=bundle.link_scripts,
        bytecode=bundle.bytecode,
        libraries=tuple(bundle.libraries.items()),
        config=tuple(parsed.config.items()),
        secrets=tuple(form.named(name) for name, form in sorted(forms.items()) if form),
        release=parsed.release,
        hooks_table=parsed.hooks,
        services=tuple(_service(name, table, parsed.config) for name, table in sorted(parsed.services.items())),
    )


def _service(name: str, table: ServiceTable, settings: Mapping[str, str]) -> Service:
    try:
        socket = resolve_socket(table.socket, name, settings) if table.socket else None
    except ValueError:
        socket = None  # the consistency check says why
    return Service(name=name, table=table, socket=socket)


def _lockfiles(bundle: _BundleTable, platforms: Mapping[str, PlatformTable], directory: Path, source: str) -> Lockfiles:
    named = (bundle.lockfile,) if isinstance(bundle.lockfile, str) else bundle.lockfile
    found = sort_lockfiles((directory / name for name in named), where=source)
    glibc = tuple(sorted((name, table.glibc) for name, table in platforms.items()))
    return replace(found, environment=bundle.lockfile_environment, glibc=glibc)


def _environments(
    bundle: _BundleTable, directory: Path, overrides: Overrides, lockfiles: Lockfiles
) -> tuple[Path, ...]:
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
        problems.append("services: there is none; a bundle needs at least one [services.<name>] table (or --command)")
    problems += [*_platform_mistakes(config), *inconsistencies(config)]
    if problems:
        raise ConfigError(_joined(problems), where=config.source)


def _platform_mistakes(config: BundleConfig) -> list[str]:
    problems = []
    for name, table in config.platform_tables:
        if name not in config.project_platforms:
            problems.append(f"platforms.{name}: bundle.platforms does not name it")
        if table.archspec and name != "linux-64":
            problems.append(f"platforms.{name}.archspec: only linux-64 has these levels")
    if not config.environments:
        return problems
    environment = config.environments[0]
    beside = [path for path in map(environment.with_name, VIRTUAL_PACKAGES) if path.exists()]
    if config.platform_tables and beside and not config.virtual_packages:
        problems.append(f"platforms: {beside[0].name} beside {environment.name} says it too; keep one of them")
    return problems


def _joined(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else "\n  - ".join([f"{len(problems)} mistakes:", *problems])

"""Load bundle.toml and the command line into a :class:`~bundler.config.bundleconfig.BundleConfig`.

All mistakes are reported at once, each with its key's path.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bundler.config.bundleconfig import BundleConfig
from bundler.config.consistency import inconsistencies
from bundler.config.files import AppFile, FileTable
from bundler.config.lockfiles import sort_lockfiles
from bundler.config.model import BundleFile
from bundler.config.overrides import CONFIG_NAME, Overrides, chosen_platforms
from bundler.config.sentences import sentences
from bundler.config.services import Service
from bundler.config.tables import ReleaseTable, Secret
from bundler.errors import ConfigError
from bundler.platforms import VIRTUAL_PACKAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.config.lockfiles import Lockfiles
    from bundler.config.model import BundleTable
    from bundler.config.platforms import PlatformTable

__all__ = ["AppFile", "BundleConfig", "FileTable", "Overrides", "ReleaseTable", "Secret", "Service", "load_config"]


def load_config(directory: Path, overrides: Overrides | None = None) -> BundleConfig:
    """Read ``directory/bundle.toml``, apply the command line's overrides and validate the result.

    Without a bundle.toml, ``overrides`` must name the bundle. Raises :class:`ConfigError` with all mistakes.
    """
    overrides = overrides or Overrides()
    path = directory / CONFIG_NAME
    if path.is_file():
        (document, digest), source = _read_toml(path), CONFIG_NAME
    elif overrides.environments or overrides.name:
        document, digest, source = {"bundle": {}}, "", "command line"
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
    config = replace(config, given=overrides, source_sha256=digest)
    _check(config)
    return config


def _read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """The parsed file, and its SHA-256."""
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8")), hashlib.sha256(content).hexdigest()
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number is too large, or nested too deeply
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _apply(overrides: Overrides, document: dict[str, Any]) -> None:
    bundle = document.setdefault("bundle", {})
    if not isinstance(bundle, dict):
        return  # the model reports what is wrong with it
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


def _lockfiles(bundle: BundleTable, platforms: Mapping[str, PlatformTable], directory: Path, source: str) -> Lockfiles:
    named = (bundle.lockfile,) if isinstance(bundle.lockfile, str) else bundle.lockfile
    found = sort_lockfiles((directory / name for name in named), where=source)
    glibc = tuple(sorted((name, table.glibc) for name, table in platforms.items()))
    return replace(found, environment=bundle.lockfile_environment, glibc=glibc)


def _environments(bundle: BundleTable, directory: Path, overrides: Overrides, lockfiles: Lockfiles) -> tuple[Path, ...]:
    """The environment files; there need not be any if another tool wrote the lockfile."""
    if overrides.environments:
        return tuple(path.resolve() for path in overrides.environments)
    if bundle.environment is None:
        usual = directory / "environment.yml"
        return (usual,) if lockfiles.written_by_us or usual.is_file() else ()
    named = (bundle.environment,) if isinstance(bundle.environment, str) else bundle.environment
    return tuple(directory / name for name in named)


def _check(config: BundleConfig) -> None:
    """Check what involves several keys or files: missing files, conflicting names."""
    problems = [
        f"files.{file.target}: no such file or directory: {file.source}"
        for file in config.files
        if not os.path.lexists(file.source)  # links are followed when the files are read
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

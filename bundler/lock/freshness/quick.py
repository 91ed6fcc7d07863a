"""Read the parts of bundle.toml that `lock --check` needs without pydantic, whose import takes longer than the check.

This has to agree with the models exactly, so it covers only a part of them: anything that they might refuse, or that is
not supported here, raises :class:`NotPlainError`, and the models have to be used
(:func:`bundler.config.project.load_config`). The tests compare the two. Tables that do not matter for locking, such as
``[services]``, are not read.
"""

from __future__ import annotations

import re
import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_args

from bundler.config.lockfiles import Lockfiles, sort_lockfiles
from bundler.config.overrides import CONFIG_NAME, Overrides, chosen_platforms
from bundler.config.patterns import KERNEL, NAME, NUMBER, VERSION
from bundler.config.reserved import is_reserved
from bundler.config.servers import Archspec, PlainServers
from bundler.cooldown import parse_age
from bundler.errors import BundlerError
from bundler.fetch.channels import LONGEST_READ, MOST_RETRIES, Access, Priority
from bundler.lock.request import LockRequest
from bundler.platforms import MACHINES, VIRTUAL_PACKAGES

if TYPE_CHECKING:
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["NotPlainError", "plain_request"]

_PATH = r"[^\x00-\x1f\x7f]+"
_TABLES = {"bundle", "platforms", "files", "config", "secrets", "release", "channels", "lock", "services"}
_OTHERS = {"description", "categories", "exclude", "include", "owners", "link_scripts", "bytecode", "libraries"}
"""Keys of [bundle] that do not matter for locking."""
_KEYS = {"name", "version", "platforms", "environment", "lockfile", "lockfile_environment"}


class NotPlainError(Exception):
    """The models have to be used."""


def plain_request(directory: Path, overrides: Overrides, solver: str) -> tuple[LockRequest, Lockfiles]:
    """The request and lockfiles of an ordinary bundle.toml. Raises :class:`NotPlainError`."""
    try:
        document = tomllib.loads((directory / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NotPlainError from error
    bundle, tables = _table(document, "bundle"), _table(document, "platforms")
    _sure(document.keys() <= _TABLES)
    _sure(bool(document.get("services") or overrides.command))
    _sure(bundle.keys() <= _KEYS | _OTHERS)
    _sure(not is_reserved(_text(overrides.name or bundle.get("name"), NAME)))
    _text(overrides.version or bundle.get("version"), VERSION)
    named = tuple(_text(one, _PATH) for one in _platforms(bundle, tables))
    servers = tuple(sorted((name, _servers(name, table)) for name, table in tables.items()))
    _sure(set(named) <= set(MACHINES))
    try:
        platforms = chosen_platforms(named, overrides.platforms, CONFIG_NAME)
        room = directory.resolve()
        lockfiles = sort_lockfiles(
            (room / _text(name, _PATH) for name in _list(bundle.get("lockfile", "conda-lock.yml"))), where=CONFIG_NAME
        )
    except BundlerError as error:
        raise NotPlainError from error
    _sure(set(tables) <= {*named, *platforms})
    environments = _environments(bundle, overrides, room, lockfiles)
    _sure(not (tables and not overrides.virtual_packages and _virtual_beside(environments)))
    if environment := bundle.get("lockfile_environment"):
        lockfiles = replace(lockfiles, environment=_text(environment, _PATH))
    default, access = _channels(_table(document, "channels"))
    return LockRequest(
        environments=environments,
        lockfile=lockfiles.conda[0],
        platforms=platforms,
        channels=overrides.channels,
        solver=solver,
        virtual_packages=_existing(overrides.virtual_packages),
        access=replace(access, offline=overrides.offline),
        tables=servers,
        exclude_newer=_cooldown(_table(document, "lock")),
        default_channel=default,
    ), replace(lockfiles, glibc=tuple((name, one.glibc) for name, one in servers))


def _sure(known: bool) -> None:
    if not known:
        raise NotPlainError


def _text(value: Any, pattern: str) -> str:
    _sure(isinstance(value, str) and re.fullmatch(pattern, value) is not None)
    return str(value)


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key, {})
    _sure(isinstance(found, dict))
    return dict(found)


def _list(value: Any) -> list[Any]:
    """One text, or several."""
    _sure(isinstance(value, str | list) and bool(value))
    return [value] if isinstance(value, str) else list(value)


def _platforms(bundle: dict[str, Any], tables: dict[str, Any]) -> list[Any]:
    if "platforms" not in bundle:
        return list(tables)
    _sure(isinstance(bundle["platforms"], list) and bool(bundle["platforms"]))
    return list(bundle["platforms"])


def _existing(path: Path | None) -> Path | None:
    _sure(path is None or path.is_file())
    return path


def _environments(bundle: dict[str, Any], overrides: Overrides, room: Path, lockfiles: Lockfiles) -> tuple[Path, ...]:
    if overrides.environments:
        found = [path.resolve() for path in overrides.environments]
    elif "environment" in bundle:
        found = [room / _text(name, _PATH) for name in _list(bundle["environment"])]
    else:
        _sure(lockfiles.written_by_us)
        found = [room / "environment.yml"]
    _sure(all(path.is_file() for path in found))
    return tuple(found)


def _virtual_beside(environments: tuple[Path, ...]) -> bool:
    return any(environments[0].with_name(name).exists() for name in VIRTUAL_PACKAGES)


def _servers(name: str, table: Any) -> PlainServers:
    _sure(name in MACHINES and isinstance(table, dict) and table.keys() <= {one.name for one in fields(PlainServers)})
    for key, value in table.items():
        if key == "archspec":
            _sure(name == "linux-64" and value in get_args(Archspec))
        else:
            _text(value, KERNEL if key == "linux" else NUMBER)
    return PlainServers(**table)


def _channels(table: dict[str, Any]) -> tuple[str, Access]:
    """The default channel, and how channels are accessed. Mirrors are left to the models."""
    _sure(table.keys() <= {"default", "priority", "retries", "read_timeout"})
    default, priority = _text(table.get("default", "conda-forge"), _PATH), table.get("priority", Access.priority)
    retries, patience = table.get("retries", Access.retries), table.get("read_timeout", Access.read_timeout)
    _sure(priority in get_args(Priority))
    _sure(type(retries) is int and 0 <= retries <= MOST_RETRIES)
    _sure(type(patience) in (int, float) and 0 < patience <= LONGEST_READ)
    return default, Access(priority=priority, retries=retries, read_timeout=patience)


def _cooldown(table: dict[str, Any]) -> str | None:
    _sure(table.keys() <= {"exclude_newer"})
    if not table:
        return None
    said = _text(table["exclude_newer"], _PATH)
    try:
        parse_age(said)
    except ValueError as error:
        raise NotPlainError from error
    return said

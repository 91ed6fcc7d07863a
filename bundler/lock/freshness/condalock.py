"""Check whether a conda-lock.yml is up to date with its environment.yml, without conda-lock if possible.

This depends on conda-lock's content hash, which we compute ourselves in some hundredths of a second. conda-lock itself
is run only for an environment.yml with syntax that we do not support.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from bundler.lock.contenthash.contents import content_hashes
from bundler.lock.contenthash.rendered import is_known_conda_lock, read_shown
from bundler.lock.contenthash.spec import LockSpec, UnknownError
from bundler.lock.cooldown import said_of_age
from bundler.lock.environment.views import shown_to_conda_lock
from bundler.lock.request import assumed_packages, checked_environment, virtual_packages_file
from bundler.lock.solver.relations import says_relations
from bundler.lock.unify import unseen_by_conda_lock, unseen_digest
from bundler.lockfiles.condalock import read_metadata
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.lock.environment.check import Environment
    from bundler.lock.request import LockRequest

__all__ = ["Freshness", "freshness", "is_fresh"]

_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le"}
_GLIBCS = ("2.28", "2.17")
"""The glibc that conda-lock assumes: version 4, and earlier ones."""
_CUDA = "11.4"


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """``fresh`` is None if conda-lock has to be asked. ``notes`` are for the user, if the lockfile is up to date;
    ``reason`` is why it is not, if that is known.
    """

    fresh: bool | None
    notes: tuple[str, ...] = ()
    reason: str = ""


def is_fresh(request: LockRequest) -> bool:
    """Whether the lockfile is up to date, see :func:`freshness`."""
    return freshness(request).fresh is True


def freshness(request: LockRequest) -> Freshness:
    """Whether the lockfile is up to date with the environment.yml and channels of ``request``, for all its platforms.

    This compares conda-lock's content hash; nothing is written or downloaded. A missing lockfile is not up to date.
    Raises :class:`ConfigError` or :class:`LockError` if the request, an environment.yml or the lockfile is invalid.
    """
    environment = checked_environment(request)
    if not request.lockfile.exists():
        return Freshness(fresh=False)
    locked = read_metadata(request.lockfile)
    if reason := _other_settings(locked.custom, request):
        return Freshness(fresh=False, reason=reason)
    digest = unseen_digest(environment)
    if not set(request.platforms) <= set(locked.platforms) or any(
        unseen_by_conda_lock(locked.custom, platform) != digest for platform in request.platforms
    ):
        return Freshness(fresh=False)
    found = _judge(request, environment, locked.hashes)
    if found.fresh is not None:
        return found
    from bundler.lock.freshness.called import conda_lock_says_fresh

    return replace(found, fresh=conda_lock_says_fresh(request, environment))


def _other_settings(recorded: Mapping[str, Any], request: LockRequest) -> str:
    """The setting in bundle.toml that has changed since the lockfile was written; empty if there is none."""
    if said_of_age(recorded) != request.exclude_newer:
        return "was locked with a different [lock] exclude_newer than in bundle.toml"
    if says_relations(recorded) != request.relations:
        return "was locked with a different [channels] relations than in bundle.toml"
    return ""


def _judge(request: LockRequest, environment: Environment, locked: Mapping[str, str]) -> Freshness:
    """Judge the lockfile without conda-lock; ``locked`` are its content hashes."""
    try:
        spec = read_shown(environment, request.platforms, shown_to_conda_lock)
        virtual = _virtual(request)
    except UnknownError as unknown:
        logging.getLogger("bundler").info("conda-lock has to be asked: %s", unknown)
        return Freshness(fresh=None)
    document = spec.document()
    notes, reasons = [], []
    for platform in request.platforms:
        if locked.get(platform) in content_hashes(document, platform, virtual):
            continue
        defaults = _conda_locks_own(document, platform, locked.get(platform))
        if defaults is None:
            return _stale(spec)
        named = f"{platform} was locked for servers with {_named(defaults)}, conda-lock's default"
        if virtual_packages_file(request) or platform in dict(request.tables):
            reasons.append(f"{named}; {_said(request)} says {_named(virtual.get(platform, {}))}")
        else:
            notes.append(f"{named}; a [platforms.{platform}] table in bundle.toml declares what they have")
    if reasons:
        return replace(_stale(spec), reason="; ".join(reasons))
    return Freshness(fresh=True, notes=tuple(notes))


def _stale(spec: LockSpec) -> Freshness:
    """Out of date, if we know all that this conda-lock's answer depends on."""
    return Freshness(fresh=False if spec.exact and is_known_conda_lock() else None)


def _virtual(request: LockRequest) -> dict[str, dict[str, str]]:
    """The virtual packages of each platform that conda-lock gets."""
    file = virtual_packages_file(request)
    try:
        document: Any = load_yaml(file.read_bytes()) if file else {"subdirs": assumed_packages(request)}
        found = {name: dict(one["packages"]) for name, one in document["subdirs"].items()}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as damaged:
        raise UnknownError("virtual packages that cannot be read") from damaged
    if not all(
        isinstance(name, str) and name.startswith("__") and isinstance(text, str)
        for packages in found.values()
        for name, text in packages.items()
    ):
        raise UnknownError("virtual packages that are no texts")
    return found


def _conda_locks_own(document: Mapping[str, Any], platform: str, locked: str | None) -> dict[str, str] | None:
    """conda-lock's default virtual packages, if the lockfile was locked with them."""
    if platform not in _MACHINES:
        return None
    for glibc in _GLIBCS:
        for cuda in ({"__cuda": _CUDA}, {}):
            packages = {"__unix": "0", "__linux": "5.10", "__glibc": glibc, "__archspec": f"1 {_MACHINES[platform]}"}
            packages |= cuda
            if locked in content_hashes(document, platform, {platform: packages}):
                return packages
    return None


def _said(request: LockRequest) -> str:
    file = virtual_packages_file(request)
    return str(file) if file else "bundle.toml"


def _named(packages: Mapping[str, str]) -> str:
    names = {"__glibc": "glibc", "__linux": "Linux", "__cuda": "CUDA"}
    told = [f"{called} {packages[name]}" for name, called in names.items() if name in packages]
    return ", ".join([*told, *([] if "__cuda" in packages else ["no CUDA"])])

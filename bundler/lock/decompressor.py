"""The packages of a lockfile that a bundle's own decompressor is taken from: zstd, and what it depends on.

Many environments have it anyway. For the others our solver finds it beside the environment, and it is put into the
lockfile in a category of its own: conda-lock and conda install a category other than ``main`` only when they are asked
to, conda-lock's own hash of what was asked for does not change, and no build takes it for a part of the environment.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from bundler.config.lockfiles import CONDA_LOCK, EXPLICIT, kind_of
from bundler.locked import TOOLS, Lock, LockedPackage
from bundler.lockfiles.condalock import read_lock
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["DECOMPRESSOR", "locked_decompressor", "with_tools", "without_tools"]

DECOMPRESSOR = "zstd"
"""The package's name, and its program's."""


def locked_decompressor(lock: Lock) -> Lock | None:
    """The decompressor's packages, sorted by name; None if the lockfile has none for the platform.

    A package of the environment ``lock`` is taken as it is there, where an injected one may have taken its place. What
    depends on what an @EXPLICIT file does not say, so nothing can be taken out of it.
    """
    kind, packages = kind_of(lock.path), dict[str, LockedPackage]()
    if kind is EXPLICIT:
        return None
    if kind is CONDA_LOCK:
        packages = {package.name: package for package in _conda(read_lock(lock.path, lock.platform, tools=True))}
    packages |= {package.name: package for package in _conda(lock)}
    if DECOMPRESSOR not in packages:
        return None
    names, pending = set(), [DECOMPRESSOR]
    while pending:
        name = pending.pop()
        if name in packages and name not in names:
            names.add(name)
            pending += [spec.split()[0] for spec in packages[name].depends]
    return Lock(path=lock.path, platform=lock.platform, packages=tuple(packages[name] for name in sorted(names)))


def _conda(lock: Lock) -> Iterable[LockedPackage]:
    return (package for package in lock.packages if package.manager == "conda")


def without_tools(lockfile: bytes, platforms: Iterable[str]) -> bytes:
    """The lockfile that conda-lock updates: it would take these packages for some that the environment has."""
    document = load_yaml(lockfile)
    packages = [one for one in document["package"] if not (_is_tool(one) and one["platform"] in platforms)]
    if len(packages) == len(document["package"]):
        return lockfile
    return yaml.safe_dump(document | {"package": packages}, sort_keys=False).encode()


def with_tools(lockfile: bytes, found: Path, platforms: Iterable[str], old: Path | None) -> bytes:
    """The lockfile with what the solver has written into the directory ``found``.

    For a platform that it was not asked about, as nothing but wheels was updated, with what ``old`` has.
    """
    packages = load_yaml(lockfile)["package"]
    before = load_yaml(old.read_bytes())["package"] if old else []
    added: list[dict[str, Any]] = []
    for platform in sorted(set(platforms)):
        answer = found / f"{platform}.json"
        if answer.exists():
            added += _entries(json.loads(answer.read_bytes()), platform)
        else:
            added += [one for one in before if _is_tool(one) and one["platform"] == platform]
    if not packages or not added:
        return lockfile
    # The list of packages is what a lockfile ends with.
    return lockfile + yaml.safe_dump(added, sort_keys=False).encode()


def _is_tool(entry: dict[str, Any]) -> bool:
    return entry.get("category") == TOOLS


def _entries(actions: list[dict[str, Any]], platform: str) -> Iterator[dict[str, Any]]:
    """Packages as conda-lock writes them; none if one has no MD5, without which conda-lock reads no entry."""
    if not all("md5" in action for action in actions):
        return
    for action in sorted(actions, key=lambda action: str(action["name"])):
        dependencies = (spec.partition(" ") for spec in sorted(action["depends"]))
        yield {
            "name": action["name"],
            "version": action["version"],
            "manager": "conda",
            "platform": platform,
            "dependencies": {name: spec for name, _, spec in dependencies},
            "url": action["url"],
            "hash": {kind: action[kind] for kind in ("md5", "sha256") if kind in action},
            "category": TOOLS,
            "optional": True,
        }

"""Merge the packages that conda-lock and uv have locked into one conda-lock.yml, as conda-lock would write it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.plainyaml import dump_yaml, load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bundler.lock.environment.check import Environment

__all__ = ["UNSEEN", "LockedWheel", "Platform", "unify", "unseen_by_conda_lock", "unseen_digest"]

UNSEEN = "conda-bundler.pip."
"""Prefix of keys in `metadata.custom_metadata`, one per platform, with a digest of what conda-lock cannot read."""


@dataclass(frozen=True, kw_only=True)
class LockedWheel:
    """A wheel for the lockfile.

    ``direct`` is its URL in `pip:`, if it is given by URL; ``digests`` are those on its index other than SHA-256, by
    algorithm.
    """

    name: str
    version: str
    url: str
    sha256: str | None
    direct: str | None = None
    digests: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The wheels of one platform. Names of projects are normalized.

    ``asked`` are the projects in `pip:` with their categories, ``needs`` each project's dependencies, ``provided`` the
    conda packages that projects come from.
    """

    name: str
    content_hash: str
    wheels: tuple[LockedWheel, ...]
    asked: tuple[tuple[str, str], ...]
    needs: Mapping[str, Sequence[str]]
    provided: Mapping[str, str]


def unify(lockfile: Path, platforms: Iterable[Platform], unseen: str | None) -> None:
    """Add the wheels of ``platforms`` to ``lockfile``; ``unseen`` is the digest for :data:`UNSEEN`, if there is one."""
    before = lockfile.read_bytes()
    document = load_yaml(before)
    custom = document["metadata"].pop("custom_metadata", None) or {}
    for platform in platforms:
        document["metadata"]["content_hash"][platform.name] = platform.content_hash
        document["package"] = _with_wheels(document["package"], platform)
        custom.pop(UNSEEN + platform.name, None)
        custom |= {UNSEEN + platform.name: unseen} if unseen else {}
    document["package"].sort(key=_order)
    if custom:
        document["metadata"]["custom_metadata"] = custom
    lockfile.write_bytes(dump_yaml(document, before))


def _order(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (entry["manager"], entry["name"], entry["platform"], entry.get("category", "main"))


def unseen_digest(environment: Environment) -> str | None:
    """A digest of what conda-lock cannot read in ``pip:`` lists and conda packages; None if it can read everything."""
    unseen: Any = environment.pip_list().unseen
    if packages := environment.unseen:
        unseen = {"pip": unseen, "conda": packages}
    return hashlib.sha256(json.dumps(unseen).encode()).hexdigest() if unseen else None


def unseen_by_conda_lock(custom: Mapping[str, Any], platform: str) -> str | None:
    """The digest in the lockfile's custom metadata, from when ``platform`` was locked (:func:`unify`)."""
    found = custom.get(UNSEEN + platform)
    return str(found) if found else None


def _with_wheels(entries: Sequence[dict[str, Any]], platform: Platform) -> list[dict[str, Any]]:
    """``entries`` with the platform's wheels replaced.

    Conda packages are also in the categories of the wheels that need them.
    """
    others = [entry for entry in entries if entry["platform"] != platform.name]
    own = [entry for entry in entries if entry["platform"] == platform.name and entry["manager"] == "conda"]
    categories: dict[tuple[str, str], set[str]] = {}
    for entry in own:
        categories.setdefault(("conda", entry["name"]), set()).add(entry.get("category", "main"))
    conda = {entry["name"]: entry for entry in own}
    for name, category in platform.asked:
        for key in _needed(name, platform, conda):
            categories.setdefault(key, set()).add(category)
    plain = {("conda", name): entry for name, entry in conda.items()}
    plain |= {("pip", wheel.name): _entry(wheel, platform) for wheel in platform.wheels}
    return others + [one for key, entry in plain.items() for one in _in_each(entry, categories[key])]


def _needed(name: str, platform: Platform, conda: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The manager and name of a project and all its dependencies, including conda packages."""
    todo, seen = [("pip", name)], set[tuple[str, str]]()
    while todo:
        key = manager, one = todo.pop()
        if key in seen:
            continue
        seen.add(key)
        yield key
        if manager == "conda":
            todo += [("conda", needed) for needed in conda[one].get("dependencies") or {} if needed in conda]
            continue
        todo += [("pip", needed) for needed in platform.needs.get(one, ())]
        if one in platform.provided:
            todo.append(("conda", platform.provided[one]))


def _in_each(entry: Mapping[str, Any], categories: set[str]) -> Iterator[dict[str, Any]]:
    """The entry for each category, or only for main, which all environments include."""
    for category in ["main"] if "main" in categories else sorted(categories):
        yield {**entry, "category": category, "optional": category != "main"}


def _entry(wheel: LockedWheel, platform: Platform) -> dict[str, Any]:
    source = {"source": {"type": "url", "url": wheel.direct}} if wheel.direct else {}
    return {
        "name": wheel.name,
        "version": wheel.version,
        "manager": "pip",
        "platform": platform.name,
        "dependencies": dict.fromkeys(sorted(platform.needs.get(wheel.name, ())), "*"),
        "url": wheel.url,
        "hash": {"sha256": wheel.sha256} if wheel.sha256 else {},
        **source,
        "category": "main",
        "optional": False,
    }

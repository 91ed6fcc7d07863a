"""One conda-lock.yml of what conda-lock locked and what uv did, as conda-lock would have written it."""

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
"""Before a platform's name, the key of `metadata.custom_metadata` with a digest of what conda-lock cannot read."""


@dataclass(frozen=True, kw_only=True)
class LockedWheel:
    """A wheel as the lockfile has it.

    ``direct`` is the URL in `pip:` that names it, if one does; ``digests`` are those that its index gives beside
    SHA-256, by algorithm.
    """

    name: str
    version: str
    url: str
    sha256: str | None
    direct: str | None = None
    digests: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What is locked for one platform. Names of projects are normalised.

    ``asked`` are the projects of `pip:` with their categories, ``needs`` what each project depends on, ``provided`` the
    conda package that a project comes from.
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
    """A digest of what conda-lock cannot read of the ``pip:`` lists and the conda packages; None if it reads all."""
    unseen: Any = environment.pip_list().unseen
    if packages := environment.unseen:
        unseen = {"pip": unseen, "conda": packages}
    return hashlib.sha256(json.dumps(unseen).encode()).hexdigest() if unseen else None


def unseen_by_conda_lock(custom: Mapping[str, Any], platform: str) -> str | None:
    """The digest that :func:`unify` was given when ``platform`` was locked, by the lockfile's custom metadata."""
    found = custom.get(UNSEEN + platform)
    return str(found) if found else None


def _with_wheels(entries: Sequence[dict[str, Any]], platform: Platform) -> list[dict[str, Any]]:
    """``entries`` with the platform's wheels in place of those that are there.

    Conda packages have their categories also by what wheels need.
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
    """The manager and name of all that a project consists of and needs, conda packages included."""
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
    """The entry for each category: what main has, every environment has."""
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

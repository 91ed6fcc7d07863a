"""Add wheels to a lockfile: after conda-lock has locked the conda packages, uv solves the ``pip:`` lists."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from bundler.config.platforms import PlatformTable
from bundler.errors import ConfigError, LockError, PrefixError
from bundler.lock.contenthash.contents import content_hash, glibc_of_platform
from bundler.lock.cooldown import told
from bundler.lock.pypi.explain import explain_uv
from bundler.lock.pypi.indexes import find_source
from bundler.lock.pypi.pythons import Asker, find_fitting
from bundler.lock.pypi.uv import Solution, UvFailed, WheelQuestion
from bundler.lock.unify import Platform, unify, unseen_digest
from bundler.lock.workdir import is_noexec
from bundler.lockfiles.condalock import read_lock
from bundler.plainyaml import load_yaml
from bundler.resources import cache_dir
from bundler.wheels.interpreter import write_interpreter
from bundler.wheels.names import project_names
from bundler.wheels.python import Python

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.errors import BundlerError
    from bundler.fetch.channels import Access
    from bundler.lock.environment.check import Environment
    from bundler.lock.unify import LockedWheel
    from bundler.lock.watch import Watch
    from bundler.locked import Lock, LockedPackage
    from bundler.wheels.requirements import PipList

__all__ = ["WheelPart", "add_wheels"]


@dataclass(frozen=True, kw_only=True)
class WheelPart:
    """The input for adding wheels.

    ``lockfile`` has the conda packages of ``platforms``; ``spec`` are all requirements as conda-lock parses them,
    ``solved`` are those that it was given to solve, and ``virtual`` is its channel of virtual packages. ``kept`` are
    the versions to keep if possible, for each platform; ``directory`` is empty; ``where`` is the environment files'
    name in messages.
    """

    lockfile: Path
    platforms: tuple[str, ...]
    environment: Environment
    spec: Mapping[str, Any]
    solved: Mapping[str, Any]
    virtual: Path
    directory: Path
    access: Access
    where: str
    kept: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    injected: frozenset[str] = frozenset()
    exclude_newer: Mapping[str, str | None] = field(default_factory=dict)
    watch: Watch


def add_wheels(part: WheelPart) -> tuple[str, ...]:
    """Solve for each platform and write the wheels into the lockfile. Raises :class:`LockError`.

    Returns notes for the user.
    """
    has_pip = part.environment.has_pip
    projects: Mapping[str, str] = {}
    if has_pip:
        part.watch.now("updating the table of conda names for PyPI projects")
        projects = project_names(refresh=not part.access.offline)
    known = load_yaml(part.lockfile.read_bytes())["metadata"]["content_hash"]
    platforms, notes = [], list[str]()
    for name in sorted(set(part.platforms)):
        provided = _provided(read_lock(part.lockfile, name), projects) if has_pip else {}
        wanted = part.environment.pip_list(name)
        solution = _solution(part, name, wanted, provided)
        notes += solution.notes
        platforms.append(
            Platform(
                name=name,
                content_hash=content_hash(part.spec, part.solved, name, part.virtual, known[name], where=part.where),
                wheels=solution.wheels,
                asked=tuple((one.name, one.category) for one in wanted.requirements),
                needs=solution.needs,
                provided={project: package.name for project, package in provided.items()},
            )
        )
    unify(part.lockfile, platforms, unseen_digest(part.environment))
    return tuple(dict.fromkeys(notes))


def _solution(part: WheelPart, platform: str, wanted: PipList, provided: Mapping[str, LockedPackage]) -> Solution:
    if not wanted.requirements:
        return Solution(wheels=(), needs={})
    where = f"{part.where}: dependencies: pip"
    question = _question(part, platform, wanted, provided)
    _refuse_twice(question, where)
    directory = part.directory / platform
    directory.mkdir(parents=True)
    part.watch.now(f"querying package indexes for wheels for {platform}")
    try:
        found = find_fitting(question, directory, _asker(part, directory, where))
    except UvFailed as failed:
        raise _on_cooldown(explain_uv(failed.text, question, where), part) from failed
    except LockError as error:
        error.where = where
        raise
    return replace(found, wheels=tuple(_with_digest(wheel, part, directory, where) for wheel in found.wheels))


def _asker(part: WheelPart, directory: Path, where: str) -> Asker:
    return Asker(access=part.access, directory=directory, where=where, check=part.watch.check)


def _on_cooldown(error: BundlerError, part: WheelPart) -> BundlerError:
    """The same error, with ``exclude_newer`` as another possible reason."""
    if not any(part.exclude_newer.values()):
        return error
    cooldown = (
        f"[lock] exclude_newer in bundle.toml excludes wheels uploaded after {told(part.exclude_newer)} and wheels "
        "without an upload date"
    )
    return type(error)(f"{error.message}\n{cooldown}", where=error.where, remedy=error.remedy)


def _with_digest(wheel: LockedWheel, part: WheelPart, directory: Path, where: str) -> LockedWheel:
    """The wheel with its SHA-256; if the index has none, the file is downloaded to compute it."""
    if wheel.sha256 or not wheel.url.endswith(".whl") or wheel.name in part.injected or part.access.offline:
        return wheel
    from bundler.fetch.download import Downloader, DownloadFailed

    file = directory / "wheel.part"
    file.unlink(missing_ok=True)
    part.watch.now(f"downloading {wheel.name} {wheel.version}, for which the package index has no sha256")
    access = part.access
    addresses = [access.filled(url, where=where, quoted=True) for url in access.addresses(wheel.url)]
    downloader = Downloader(
        retries=access.retries, read_timeout=access.read_timeout, connections=1, servers=access.servers
    )
    try:
        downloaded = downloader.download(addresses, file, part.watch.check)
    except DownloadFailed as failed:
        raise LockError(
            f"the package index has no sha256 for {wheel.name} {wheel.version}, and the wheel cannot be downloaded to "
            f"compute it: {failed}",
            where=where,
        ) from failed
    for algorithm, digest in wheel.digests:
        with file.open("rb") as opened:
            found = hashlib.new(algorithm, opened.read()).hexdigest()
        if found != digest:
            raise LockError(
                f"{wheel.name} {wheel.version} does not match the {algorithm} on the package index: {digest}",
                where=where,
                remedy="Try again; if the problem persists, the file or the index was changed.",
            )
    return replace(wheel, sha256=downloaded.sha256)


def _question(part: WheelPart, platform: str, wanted: PipList, provided: Mapping[str, LockedPackage]) -> WheelQuestion:
    python = _python(read_lock(part.lockfile, platform), part.where)
    major, minor = (glibc_of_platform(part.virtual, platform) or PlatformTable().glibc).split(".")[:2]
    glibc = (int(major), int(minor))
    asked = () if wanted.no_index else (*part.environment.repositories, *wanted.indexes)
    return WheelQuestion(
        python=python,
        glibc=glibc,
        interpreter=write_interpreter(_where_it_runs(part), python, glibc),
        wanted=wanted,
        provided=provided,
        sources=tuple(map(find_source, dict.fromkeys(asked))),
        links=tuple(map(find_source, dict.fromkeys(wanted.find_links))),
        public_index=part.environment.public_index and not wanted.no_index and wanted.index_url is None,
        access=part.access,
        kept={name: version for name, version in part.kept.get(platform, {}).items() if name not in provided},
        injected=part.injected,
        exclude_newer=part.exclude_newer,
        run=part.watch.run,
    )


def _where_it_runs(part: WheelPart) -> Path:
    """Our cache, so that uv queries each interpreter only once; elsewhere, if programs cannot run there."""
    cache = cache_dir("pythons")
    return part.directory / "pythons" if is_noexec(cache) else cache


def _python(lock: Lock, where: str) -> Python:
    locked = next((package for package in lock.packages if package.key == "python"), None)
    if locked is None:
        raise ConfigError(
            "a `pip:` list requires Python",
            where=f"{where}: dependencies: pip",
            remedy="Add python to the conda packages.",
        )
    try:
        return Python.of({"version": locked.version, "build": locked.build}, lock.platform)
    except PrefixError as error:
        raise LockError(error.message, where=f"{where}: dependencies: pip", remedy=error.remedy) from error


def _provided(lock: Lock, projects: Mapping[str, str]) -> dict[str, LockedPackage]:
    """The conda packages that are a Python project, by its name.

    Where two packages claim it, the one that is called otherwise has it: conda's xxhash is the C library, its
    python-xxhash the project xxhash.
    """
    found: dict[str, LockedPackage] = {}
    for package in lock.packages:
        if package.manager != "conda" or not any(spec.split()[0] == "python" for spec in package.depends):
            continue
        project = projects.get(canonicalize_name(package.name), canonicalize_name(package.name))
        if project not in found or project != package.name:
            found[project] = package
    return found


def _refuse_twice(question: WheelQuestion, where: str) -> None:
    """A wheel that is named by its URL would lie over what conda brings."""
    for one in question.wanted.requirements:
        if one.url and (package := question.provided.get(one.name)):
            raise LockError(
                f"`{one.text}` names a wheel of {one.name}, and the conda package {package.name} {package.version} is "
                "the same project",
                where=where,
                remedy="Remove one of them.",
            )

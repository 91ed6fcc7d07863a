"""Run link scripts like conda, but in a sandbox.

Packages are linked in conda's order (:func:`bundler.sharing.conda.link_order`). A package's ``pre-link`` script runs
from the unpacked package (``SOURCE_DIR``) before its files are linked; once all are linked, the ``post-link`` scripts
run in the same order. Each is run by ``bash -x`` with ``PREFIX``, ``PKG_NAME``, ``PKG_VERSION`` and ``PKG_BUILDNUM``.
If one fails, the build fails; the text that it writes to ``$PREFIX/.messages.txt`` is shown and removed. rattler is not
used for it, since it would run the scripts with all permissions of the build.

All scripts run twice, each time on a new copy, to find output that is not reproducible. The second copy is written in a
different order, which affects the order of directory entries, and at least a second later. What changes more slowly,
such as a date without a time, is not detected.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bundler.cage import HOME, SYSTEM_PATH, Bind, Limits, owner, run_caged
from bundler.digests import file_sha256
from bundler.errors import DamagedCacheError, MissingToolError, PackError
from bundler.linkscripts.consent import without
from bundler.linkscripts.tree import WorkingTree, copy_tree
from bundler.platforms import runs_here
from bundler.printable import counted, last_lines
from bundler.process import find_tool
from bundler.scratch import files_below, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bundler.linkscripts.consent import Consent
    from bundler.linkscripts.tree import Content, Declarations

__all__ = ["LIMITS", "Effects", "Job", "Scripted", "declarations", "read_scripts", "refuse_foreign", "run_scripts"]

LIMITS = Limits()
PAUSE = 1.0
"""Seconds between the two runs, so that a script that writes the time writes a different one."""
MESSAGES = ".messages.txt"
_LONGEST_MESSAGE = 64 << 10
_EPOCH = "315532800"
"""SOURCE_DATE_EPOCH: 1980, not the build's own, which is not part of the build id."""

Kind = Literal["pre-link", "post-link"]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The changes that one script of a package made, and its messages.

    Paths are below the prefix and sorted, without directories and without files that the bundle excludes.
    """

    package: str
    script: Kind
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = [
            f"{counted(len(paths), 'file')} {verb} ({_some(paths)})"
            for verb, paths in (("added", self.added), ("changed", self.changed), ("removed", self.removed))
            if paths
        ]
        return f"{self.package}: ran its {self.script} script: {', '.join(counts) or 'nothing has changed'}"


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """A linked package with scripts. ``copy`` is the unpacked package, ``files`` are its linked files.

    ``scripts`` has the declared SHA-256 of its scripts.
    """

    name: str
    version: str
    build_number: int
    copy: Path
    files: tuple[str, ...]
    scripts: Mapping[Kind, str]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The scripts to run: ``linked`` is the linked environment, ``packages`` are in link order."""

    linked: Path
    baked: str
    packages: tuple[Scripted, ...]
    declared: Declarations
    consent: Consent

    def wanted(self, kind: Kind) -> tuple[Scripted, ...]:
        """The packages with a script of this kind that may run."""
        return tuple(one for one in self.packages if kind in one.scripts and self.consent.covers(one.name))


def read_scripts(records: Iterable[dict[str, Any]], order: Sequence[str]) -> tuple[Scripted, ...]:
    """The linked packages, in the ``order`` of their names; ``records`` are those in ``conda-meta``."""
    found = {record["name"]: _scripted(record) for record in records}
    return tuple(found[name] for name in order)


def declarations(records: Iterable[dict[str, Any]]) -> Declarations:
    """The packages' declarations of the linked files."""
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for record in records:
        copy = Path(record["extracted_package_dir"]).name
        for entry in record["paths_data"]["paths"]:
            key = "sha256" if entry.get("prefix_placeholder") is None else "sha256_in_prefix"
            digests, copies = found.get(entry["_path"], ((), ()))
            found[entry["_path"]] = ((*digests, *([entry[key]] if entry.get(key) else [])), (*copies, copy))
    return found


def run_scripts(job: Job) -> tuple[Path, tuple[Effects, ...]]:
    """Run the scripts; return the changed copy of the linked environment, which is next to it, and the changes.

    Raises :class:`PackError` for a script that fails, leaves files that cannot be packed, or is not reproducible.
    """
    find_tool("bash", package="bash", purpose="running packages' link scripts")
    run = _Run(job, job.linked.with_name("scripted"))
    effects = run.all()
    time.sleep(PAUSE)
    again = _Run(job, job.linked.with_name("scripted-again"), backwards=True)
    repeated = again.all()
    _compare(run.tree.contents, again.tree.contents, (*effects, *repeated), job.consent)
    remove_tree(again.tree.path)
    for path, content in run.tree.contents.items():
        unpacked = content is not None and not path.endswith("/") and not job.consent.packs(path)
        if unpacked and not os.path.lexists(job.linked / path):
            (run.tree.path / path).unlink()  # it is not reported, so it must not exist
    return run.tree.path, effects


def refuse_foreign(packages: Iterable[str], platform: str, where: str) -> None:
    """Raises :class:`MissingToolError` if there are scripts to run whose programs cannot run on this machine."""
    names = ", ".join(packages)
    if names and not runs_here(platform):
        raise MissingToolError(
            f"the link scripts of {names} are for {platform} and cannot run on this machine",
            where=where,
            remedy=f"Build on a {platform} machine, or {without('them')}.",
        )


class _Run:
    """One run of all scripts, on a new copy, whose files are created in one order or the reverse."""

    def __init__(self, job: Job, work: Path, *, backwards: bool = False) -> None:
        self.tree = WorkingTree(job.linked, work, job.baked, owner=owner())
        self._job = job
        self._backwards = backwards

    def all(self) -> tuple[Effects, ...]:
        return (*self._before_linking(), *self._after_linking())

    def _before_linking(self) -> tuple[Effects, ...]:
        """Run each ``pre-link`` script with the packages before it linked; at the end, all are linked."""
        left = {path for path in files_below(self._job.linked) if not path.startswith("__clobbers__/")}
        wanted = self._job.wanted("pre-link")
        effects = []
        ready: set[str] = set()
        for package in self._job.packages if wanted else ():
            if package in wanted:
                self.tree.fill(sorted(left & ready, reverse=self._backwards))
                left -= ready
                effects.append(self._pre_link(package))
            ready.update(package.files)
        self.tree.fill(sorted(left, reverse=self._backwards))
        # A file that a package later links over a script's file belongs to the package.
        return tuple(replace(one, added=tuple(filter(self.tree.contents.get, one.added))) for one in effects)

    def _pre_link(self, package: Scripted) -> Effects:
        name = f"bin/.{package.name}-pre-link.sh"
        _check(package.copy / name, name, package, "pre-link")
        source = self.tree.path.with_name("source")
        copy_tree(package.copy, source, owner=owner())
        place = f"/pkgs/{package.copy.name}"
        try:
            return self._script(package, "pre-link", f"{place}/{name}", Bind(source=source, target=place))
        finally:
            remove_tree(source)

    def _after_linking(self) -> Iterator[Effects]:
        for package in self._job.wanted("post-link"):
            name = f"bin/.{package.name}-post-link.sh"
            _check(self._job.linked / name, name, package, "post-link")
            yield self._script(package, "post-link", f"{self._job.baked}/{name}")

    def _script(self, package: Scripted, kind: Kind, path: str, *binds: Bind) -> Effects:
        env = {
            "PREFIX": self._job.baked,
            "ROOT_PREFIX": self._job.baked,
            "CONDA_PREFIX": self._job.baked,
            "PKG_NAME": package.name,
            "PKG_VERSION": package.version,
            "PKG_BUILDNUM": str(package.build_number),
            "PATH": f"{self._job.baked}/bin:{SYSTEM_PATH}",
            "HOME": HOME,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": _EPOCH,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
        }
        directory = path.rpartition("/")[0]
        if kind == "pre-link":
            env["SOURCE_DIR"] = directory.rpartition("/")[0]
        prefix = Bind(source=self.tree.path, target=self._job.baked, writable=True)
        ended = run_caged(["bash", "-x", path], binds=[prefix, *binds], env=env, cwd=directory, limits=LIMITS)
        messages = last_lines(self.tree.take(MESSAGES, _LONGEST_MESSAGE), 100)
        if ended.status != 0:
            late = f"did not finish within {counted(LIMITS.seconds, 'second')}"
            raise PackError(
                f"its {kind} script {late if ended.late else f'failed with status {ended.status}'}",
                where=package.name,
                remedy=_failed(package.name, (*messages, *last_lines(ended.output))),
            )
        changes = vars(self.tree.changes(package.name, self._job.declared))
        told = {verb: tuple(filter(self._job.consent.packs, paths)) for verb, paths in changes.items()}
        return Effects(package=package.name, script=kind, messages=messages, **told)


def _scripted(record: dict[str, Any]) -> Scripted:
    name = record["name"]
    kinds: tuple[Kind, ...] = ("pre-link", "post-link")
    entries = {entry["_path"]: entry for entry in record["paths_data"]["paths"]}
    scripts: dict[Kind, str] = {}
    for kind in kinds:
        entry = entries.get(f"bin/.{name}-{kind}.sh")
        if entry is not None:
            baked = kind == "post-link" and "prefix_placeholder" in entry
            scripts[kind] = entry.get("sha256_in_prefix" if baked else "sha256") or ""
    return Scripted(
        name=name,
        version=record["version"],
        build_number=record["build_number"],
        copy=Path(record["extracted_package_dir"]),
        files=tuple(record["files"]),
        scripts=scripts,
    )


def _check(path: Path, name: str, package: Scripted, kind: Kind) -> None:
    """Check that the script matches the package's declaration, since its cached copy may have been changed.

    Packages older than paths.json have no declarations.
    """
    expected = package.scripts[kind]
    if path.is_symlink() or not path.is_file() or (expected and file_sha256(path) != expected):
        raise DamagedCacheError(name, packages=(package.copy.name,))


def _compare(
    one: dict[str, Content | None], other: dict[str, Content | None], effects: Iterable[Effects], consent: Consent
) -> None:
    nothing = object()
    for path in sorted(one.keys() | other.keys()):
        if one.get(path, nothing) != other.get(path, nothing) and consent.packs(path):
            whose = [done.package for done in effects if path in (*done.added, *done.changed, *done.removed)]
            package = (whose or sorted({done.package for done in effects}))[-1]
            raise PackError(
                f"its link script is not reproducible: {path} differs between two runs",
                where=package,
                remedy="Builds must be reproducible, so link scripts must not use the time or random numbers. If the "
                "file is "
                f'not needed, exclude it (exclude = ["{path}"] under [bundle]); otherwise {without(package)}.',
            )


def _failed(package: str, lines: tuple[str, ...]) -> str:
    said = "".join(f"\n    {line}" for line in lines)
    return (
        (f"Its output:{said}\n  " if said else "It printed nothing.\n  ")
        + "It has no network and may write to its environment only. "
        + f"If its package can do without it, {without(package)}."
    )


def _some(paths: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(paths[:most]) + (f" and {len(paths) - most} more" if len(paths) > most else "")

"""Prefix -> the members below ``env/``: conda-pack says which files, the prefix has their bytes.

conda-pack would read managed files from the package cache, where clobbers are unresolved and prefixes unbaked;
its list and its checks (editable packages, missing files) are what we take from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from conda_pack import CondaEnv
from conda_pack.core import CondaPackException, check_no_editable_packages

from bundler.errors import PackError
from bundler.pack.bytecode import source_of
from bundler.pack.members import Declared, Member, link_member, member_from
from bundler.package.sitepackages import site_packages_of, usual_site_packages
from bundler.printable import printable
from bundler.sharing.shared import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from bundler.locked import LockedPackage
    from bundler.prefix import Prefix

__all__ = ["EVERYTHING", "Filters", "Note", "collect", "find_notes"]

_UNBAKED = ("hardlink", "softlink", "directory")
"""Paths that are the package's as they are; entry points are made by the linker, with the prefix in them."""
_OF_THE_PATH = ("sha256_in_prefix", "size_in_bytes")
"""What a record says of a file as the linker has written it."""
_LEFT_OUT = ("CACHEDIR.TAG", "__clobbers__/", "conda-meta/pixi", "conda-meta/history")
"""The linker's own notes. A CACHEDIR.TAG would make backup programs skip the whole release."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Patterns (fnmatch, over paths below the prefix) of what is left out, and of what is taken back in."""

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


EVERYTHING = Filters()


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that is not wrong and may surprise. ``path`` is below the prefix.

    ``clobber``: ``owner`` has another file of this name, which is used. ``pre-link``, ``post-link``: conda would run
    this script of the package; ``remedy`` is the line of bundle.toml that lets the build run it. ``baked``: a link
    script has written the release's path into this binary file, where relocation cannot change it.
    """

    kind: Literal["clobber", "pre-link", "post-link", "baked"]
    package: str
    path: str
    owner: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        path, package = printable(self.path), printable(self.package)
        if self.kind == "clobber":
            return f"{path}: {printable(self.owner)}'s copy is used instead of {package}'s"
        if self.kind == "baked":
            return (
                f"{path}: the link script of {package} wrote the release's path into this binary file, where "
                "install.sh --prefix cannot change it"
            )
        return (
            f"{package}: its {self.kind} script ({path}) was not run; to run it at build time, add this line under "
            f"[bundle]: {self.remedy}"
        )


def collect(prefix: Prefix, filters: Filters = EVERYTHING) -> tuple[Member, ...]:
    """The environment's members, sorted by path. Raises :class:`PackError` for what conda-pack or we refuse."""
    targets = sorted(target for target in _list(prefix, filters) if not target.startswith(_LEFT_OUT))
    view = _View.of(prefix, targets)
    return tuple(member for target in targets if (member := view.member(target)) is not None)


def find_notes(prefix: Prefix) -> tuple[Note, ...]:
    """What people should know of the environment: files of two packages, scripts that were not run."""
    clobbers = (
        Note(kind="clobber", package=name_of(key), path=one.path, owner=name_of(one.owner))
        for one in prefix.shared
        if not one.same
        for key in one.others
    )
    return (*clobbers, *_unrun(prefix))


def _unrun(prefix: Prefix) -> Iterator[Note]:
    """The packages' link scripts that nobody has agreed to run."""
    names = {archive.package.name for archive in prefix.archives if archive.package.manager == "conda"}
    kinds: tuple[Literal["pre-link", "post-link"], ...] = ("pre-link", "post-link")
    for script in sorted((prefix.linked / "bin").glob(".*-link.sh")):
        for kind in kinds:
            name = script.name[1:].removesuffix(f"-{kind}.sh")
            if script.name == f".{name}-{kind}.sh" and name in names and not prefix.consent.covers(name):
                yield Note(kind=kind, package=name, path=f"bin/{script.name}", remedy=prefix.consent.line(name))


def _list(prefix: Prefix, filters: Filters) -> set[str]:
    """What conda-pack would pack, and its checks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # conda-pack warns where it would pack something else
            site_packages = _unusual_site_packages(prefix)
            if site_packages is not None:
                _hide_copies({prefix.path, prefix.linked})
                check_no_editable_packages(str(prefix.path), site_packages)
            missing: Literal["warn", "ignore"] = "warn" if site_packages is None else "ignore"
            if prefix.effects:  # scripts may remove files, but what the linker has left is to be complete
                CondaEnv.from_prefix(str(prefix.linked), on_missing_cache=missing)
            environment = CondaEnv.from_prefix(
                str(prefix.path), on_missing_cache=missing, ignore_missing_files=bool(prefix.effects)
            )
    except (CondaPackException, UserWarning) as error:
        raise PackError(str(error).strip(), where=f"conda-pack, {prefix.lock.platform}") from error
    for pattern in filters.exclude:
        environment = environment.exclude(pattern)
    for pattern in filters.include:
        environment = environment.include(pattern)
    return {file.target for file in environment.files}


def _unusual_site_packages(prefix: Prefix) -> str | None:
    """Where noarch packages are, if Python's package names another place than the usual (CEP 17).

    Those of free-threaded builds do.
    """
    for _, record in prefix.records():
        if record["name"] == "python":
            place = site_packages_of(record)
            return place if place != usual_site_packages(record["version"]) else None
    return None


def _hide_copies(prefixes: Iterable[Path]) -> None:
    """Take from each noarch package's record where its copy in the cache is.

    With the copy conda-pack works out where the linker has put the files, always below ``lib/pythonX.Y``; without, it
    takes the record's word for it.
    """
    for prefix in prefixes:
        for path in (prefix / "conda-meta").glob("*.json"):
            record = json.loads(path.read_bytes())
            if record.get("noarch") == "python":
                path.unlink()
                path.write_text(json.dumps(record | {"link": None}))


@dataclass(frozen=True, kw_only=True)
class _View:
    """A prefix as its packages declare it.

    ``metadata`` are files that the installer of wheels has made, or changed: no wheel's digest says what is in them.
    ``owners`` says which package alone decides a file's bytes: those that carry a prefix, those that two packages have
    and those that link scripts have written are nobody's. ``records`` are the packages' own entries in conda-meta, as
    they are packed. ``places`` are the prefixes that a link may point into, ``present`` are all targets.
    """

    prefix: Prefix
    owners: Mapping[str, str]
    declared: Mapping[str, Declared]
    records: Mapping[str, bytes]
    places: AbstractSet[str]
    metadata: AbstractSet[str]
    present: AbstractSet[str]

    @classmethod
    def of(cls, prefix: Prefix, targets: Iterable[str]) -> _View:
        owners: dict[str, str] = {}
        declared: dict[str, Declared] = {}
        records: dict[str, bytes] = {}
        locked = {archive.package.key: archive.package for archive in prefix.archives}
        places = {prefix.baked}
        for file, record in prefix.records():
            owners[f"conda-meta/{file}"] = record["name"]
            records[f"conda-meta/{file}"] = _shipped(record, locked.get(record["name"]))
            copies = (Path(record["extracted_package_dir"]).name,)  # one for all the files
            for entry in record["paths_data"]["paths"]:
                target, other = entry["_path"], declared.get(entry["_path"])
                declared[target] = _declared(entry, copies, other)
                if other or "prefix_placeholder" in entry or entry["path_type"] not in _UNBAKED:
                    owners.pop(target, None)
                    places.add(entry.get("prefix_placeholder", prefix.baked))
                else:
                    owners[target] = record["name"]
        for path in (path for done in prefix.effects for path in (*done.added, *done.changed)):
            owners.pop(path, None)  # a script has decided its bytes
            declared.pop(path, None)
        metadata: set[str] = set()
        for wheel in prefix.wheels:
            metadata |= wheel.metadata
            owners |= {file: wheel.package.key for file in wheel.written if file not in wheel.baked}
        present = frozenset(targets)
        return cls(
            prefix=prefix,
            owners=owners,
            declared=declared,
            records=records,
            places=places,
            metadata=metadata,
            present=present,
        )

    def member(self, target: str) -> Member | None:
        """The member at ``target``; None for bytecode of a source that its own package does not decide alone.

        Linking has changed the source, and the bytecode has the placeholder; or the source is another package's.
        """
        source, path, package = f"{self.prefix.path}/{target}", f"env/{target}", self.owners.get(target)
        if target in self.records:
            return Member(path=path, mode=0o644, content=self.records[target], package=package)
        module = self._module(target)
        if module is not None and (package is None or package != self.owners.get(module)):
            return None
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            return link_member(path, self._points_to(target), package=package)
        if target in self.metadata:
            return Member(path=path, mode=0o644, content=(self.prefix.path / target).read_bytes(), package=package)
        digest = self._digest(module) if module else None
        declared = self.declared.get(target)
        return member_from(source, path, status=status, package=package, module=digest, declared=declared)

    def _module(self, target: str) -> str | None:
        """The source of a ``.pyc``, if it is there."""
        module = source_of(target) if target.endswith(".pyc") else None
        if module is None or module not in self.present or not os.path.isfile(f"{self.prefix.path}/{module}"):  # noqa: PTH113
            return None
        return module

    def _digest(self, target: str) -> str:
        """The SHA-256 of a file, as its package declares it if it does."""
        declared = self.declared.get(target)
        if declared is not None and declared.sha256:
            return declared.sha256[0]
        return hashlib.sha256((self.prefix.path / target).read_bytes()).hexdigest()

    def _points_to(self, target: str) -> str:
        """A link's target; an absolute one into the prefix is made relative.

        No linker rewrites the target of a link, and a relative one is right wherever the release lies.
        """
        points_to = os.readlink(self.prefix.path / target)  # noqa: PTH115 -- pathlib would normalise the text
        for name in self.places:
            if points_to == name or points_to.startswith(f"{name}/"):
                inside = points_to.removeprefix(name).lstrip("/") or "."
                return os.path.relpath(inside, os.path.dirname(target) or ".")  # noqa: PTH120
        return points_to


def _shipped(record: dict[str, Any], package: LockedPackage | None) -> bytes:
    """A conda-meta record without what is the build machine's: its caches, and the way it linked.

    Nor does it name what lost to another package's file; where the linker has listed that depends on chance. Nor has it
    digests and sizes of files that carry the release's path: relocation would make them a lie, and a record that is
    another one in each release would keep all files of its package from being shared between releases.
    """
    paths = [_settled(entry) for entry in record["paths_data"]["paths"] if not entry["_path"].startswith(_LEFT_OUT)]
    shipped = record | {
        "files": sorted(file for file in record["files"] if not file.startswith(_LEFT_OUT)),
        "paths_data": record["paths_data"] | {"paths": sorted(paths, key=lambda entry: entry["_path"])},
        "extracted_package_dir": "",
        "package_tarball_full_path": "",
        "link": {"source": "", "type": 1},
    }
    if package is not None:
        shipped |= {"url": package.url, "channel": package.channel}
    return json.dumps(shipped, sort_keys=True).encode() + b"\n"


def _settled(entry: dict[str, Any]) -> dict[str, Any]:
    """What a record says of a file, the same in every release."""
    varying: tuple[str, ...] = _OF_THE_PATH if "prefix_placeholder" in entry else ()
    if entry["path_type"] not in _UNBAKED:  # the linker wrote all of it
        varying = ("sha256", *_OF_THE_PATH)
    return {key: value for key, value in entry.items() if key not in varying}


def _declared(entry: Mapping[str, Any], copies: tuple[str, ...], other: Declared | None) -> Declared:
    """What paths.json and the linker (``sha256_in_prefix``) say of a file, added to what another package says of it."""
    placeholder = entry.get("prefix_placeholder")
    digest = entry.get("sha256") if placeholder is None else entry.get("sha256_in_prefix")
    digests: tuple[str, ...] = (digest,) if digest else ()
    if other is not None:
        digests = digests + other.sha256 if digests and other.sha256 else ()
    return Declared(
        sha256=digests,
        copies=copies + other.copies if other else copies,
        mode=entry.get("file_mode") if placeholder is not None else None,
        placeholder=len(os.fsencode(placeholder)) if placeholder is not None else 0,
    )

"""Prefix -> the members below ``env/``: conda-pack says which files, the prefix has their bytes.

conda-pack would read managed files from the package cache, where clobbers are unresolved and prefixes unbaked;
its list and its checks (editable packages, missing files) are what we take from it.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from conda_pack import CondaEnv
from conda_pack.core import CondaPackException

from bundler.errors import PackError
from bundler.pack.bytecode import source_of
from bundler.pack.members import Member, link_member, member_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from bundler.prefix import Prefix

__all__ = ["EVERYTHING", "Filters", "Note", "collect", "find_notes"]

_UNBAKED = ("hardlink", "softlink", "directory")
"""Paths that are the package's as they are; entry points are made by the linker, with the prefix in them."""
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

    ``clobber``: another package has this file too, and the prefix has the other's. ``post-link``: conda would run this
    script of the package; nothing of a package is run here.
    """

    kind: Literal["clobber", "post-link"]
    package: str
    path: str

    def __str__(self) -> str:
        if self.kind == "clobber":
            return f"{self.path}: {self.package}'s is left out, another package has this file too"
        return f"{self.package}: its post-link script is not run ({self.path})"


def collect(prefix: Prefix, filters: Filters = EVERYTHING) -> tuple[Member, ...]:
    """The environment's members, sorted by path. Raises :class:`PackError` for what conda-pack or we refuse."""
    targets = sorted(target for target in _list(prefix, filters) if not target.startswith(_LEFT_OUT))
    view = _View.of(prefix, targets)
    return tuple(view.member(target) for target in targets if not view.is_outdated(target))


def find_notes(prefix: Prefix) -> tuple[Note, ...]:
    """What people should know of the environment: files of two packages, scripts that were not run."""
    parked = prefix.path / "__clobbers__"  # the linker's place for what lost: <package>/<path>
    losers = sorted(path.relative_to(parked) for path in parked.rglob("*") if path.is_symlink() or path.is_file())
    clobbers = (Note(kind="clobber", package=path.parts[0], path="/".join(path.parts[1:])) for path in losers)
    scripts = sorted((prefix.path / "bin").glob(".*-post-link.sh"))
    unrun = (
        Note(kind="post-link", package=script.name[1:].removesuffix("-post-link.sh"), path=f"bin/{script.name}")
        for script in scripts
    )
    return (*clobbers, *unrun)


def _list(prefix: Prefix, filters: Filters) -> set[str]:
    """What conda-pack would pack, and its checks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # conda-pack warns where it would pack something else
            environment = CondaEnv.from_prefix(str(prefix.path))
    except (CondaPackException, UserWarning) as error:
        raise PackError(str(error).strip(), where=f"conda-pack, {prefix.lock.platform}") from error
    for pattern in filters.exclude:
        environment = environment.exclude(pattern)
    for pattern in filters.include:
        environment = environment.include(pattern)
    return {file.target for file in environment.files}


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """What a package says of the prefix in one of its files."""

    mode: Literal["text", "binary"]
    placeholder: str


@dataclass(frozen=True, kw_only=True)
class _View:
    """A prefix as its packages declare it.

    ``owners`` says which package alone decides a file's bytes: those that carry a prefix and those that two packages
    have are nobody's. ``present`` are all targets.
    """

    prefix: Prefix
    owners: Mapping[str, str]
    digests: Mapping[str, str]
    declared: Mapping[str, _Declared]
    present: AbstractSet[str]

    @classmethod
    def of(cls, prefix: Prefix, targets: Iterable[str]) -> _View:
        owners: dict[str, str] = {}
        digests: dict[str, str] = {}
        declared: dict[str, _Declared] = {}
        seen: set[str] = set()
        for path in (prefix.path / "conda-meta").glob("*.json"):
            record = json.loads(path.read_text())
            owners[f"conda-meta/{path.name}"] = record["name"]
            for entry in record["paths_data"]["paths"]:
                target = entry["_path"]
                if "prefix_placeholder" in entry:
                    declared[target] = _Declared(mode=entry["file_mode"], placeholder=entry["prefix_placeholder"])
                if target in seen or "prefix_placeholder" in entry or entry["path_type"] not in _UNBAKED:
                    owners.pop(target, None)
                else:
                    owners[target] = record["name"]
                    digests[target] = entry.get("sha256")
                seen.add(target)
        present = frozenset(targets)
        return cls(prefix=prefix, owners=owners, digests=digests, declared=declared, present=present)

    def is_outdated(self, target: str) -> bool:
        """Bytecode of a source that linking has changed: it would bring the placeholder back."""
        module = self._module(target)
        return module is not None and module not in self.owners

    def member(self, target: str) -> Member:
        """The member at ``target``."""
        source, path, package = self.prefix.path / target, f"env/{target}", self.owners.get(target)
        if source.is_symlink():
            return replace(link_member(path, self._points_to(target)), package=package)
        if target.startswith("conda-meta/") and target.endswith(".json"):
            return Member(path=path, mode=0o644, content=_record(source, self.prefix), package=package)
        member = replace(member_from(source, path), package=package)
        module, declared = self._module(target), self.declared.get(target)
        if module is not None:
            return replace(member, module=self.prefix.path / module)
        if declared is not None:
            return replace(member, mode_of_prefix=declared.mode, placeholder=len(os.fsencode(declared.placeholder)))
        # The package cache was read with full validation: a file that the linker only links is what is declared.
        return replace(member, sha256=self.digests.get(target) if package and not member.is_directory else None)

    def _module(self, target: str) -> str | None:
        """The source of a ``.pyc``, if it is there."""
        module = source_of(target) if target.endswith(".pyc") and "__pycache__/" in target else None
        return module if module in self.present else None

    def _points_to(self, target: str) -> str:
        """A link's target; an absolute one into the prefix is made relative.

        No linker rewrites the target of a link, and a relative one is right wherever the release lies.
        """
        points_to = os.readlink(self.prefix.path / target)  # noqa: PTH115 -- pathlib would normalise the text
        for name in {self.prefix.baked, *(declared.placeholder for declared in self.declared.values())}:
            if points_to.startswith(f"{name}/"):
                return os.path.relpath(points_to.removeprefix(f"{name}/"), os.path.dirname(target))  # noqa: PTH120
        return points_to


def _record(source: Path, prefix: Prefix) -> bytes:
    """A conda-meta record without what is the build machine's: its caches, and the way it linked."""
    record = json.loads(source.read_text())
    package = next((archive.package for archive in prefix.archives if archive.package.name == record["name"]), None)
    if package is not None:
        record |= {"url": package.url, "channel": package.channel}
    record |= {
        "extracted_package_dir": "",
        "package_tarball_full_path": "",
        "link": {"source": "", "type": 1},
    }
    return json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"

"""Prefix -> the members below ``env/``: conda-pack says which files, the prefix has their bytes.

conda-pack would read managed files from the package cache, where clobbers are unresolved and prefixes unbaked;
its list and its checks (editable packages, missing files) are what we take from it.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conda_pack import CondaEnv
from conda_pack.core import CondaPackException

from bundler.errors import PackError
from bundler.pack.bytecode import unchecked
from bundler.pack.members import Member, link_member, member_from

if TYPE_CHECKING:
    from bundler.prefix import Prefix

__all__ = ["collect"]

_LEFT_OUT = ("CACHEDIR.TAG", "__clobbers__/", "conda-meta/pixi", "conda-meta/history")
"""The linker's own notes. A CACHEDIR.TAG would make backup programs skip the whole release."""


def collect(prefix: Prefix) -> tuple[Member, ...]:
    """The environment's members, sorted by path. Raises :class:`PackError` for what conda-pack or we refuse."""
    files = _list(prefix)
    targets = sorted({file.target for file in files if not file.target.startswith(_LEFT_OUT)})
    placeholders = {file.prefix_placeholder for file in files if file.prefix_placeholder}
    links = _Links(prefix=prefix, inside=(prefix.baked, *sorted(placeholders)))
    present = frozenset(targets)
    return tuple(links.member(target) or _member(prefix, target, present) for target in targets)


@dataclass(frozen=True, kw_only=True)
class _Links:
    """Symbolic links of a prefix; ``inside`` are the names that packages know it by."""

    prefix: Prefix
    inside: tuple[str, ...]

    def member(self, target: str) -> Member | None:
        """The link at ``target``, None if it is something else.

        An absolute link into the prefix is made relative: no linker rewrites the target of a link, and a relative one
        is right wherever the release lies.
        """
        source = self.prefix.path / target
        if not source.is_symlink():
            return None
        points_to = os.readlink(source)  # noqa: PTH115 -- pathlib would normalise the target's text
        for name in self.inside:
            if points_to.startswith(f"{name}/"):
                points_to = os.path.relpath(points_to.removeprefix(f"{name}/"), os.path.dirname(target))  # noqa: PTH120
                break
        return link_member(f"env/{target}", points_to)


def _list(prefix: Prefix) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # conda-pack warns where it would pack something else
            return CondaEnv.from_prefix(str(prefix.path)).files
    except (CondaPackException, UserWarning) as error:
        raise PackError(str(error).strip(), where=f"conda-pack, {prefix.lock.platform}") from error


def _member(prefix: Prefix, target: str, present: frozenset[str]) -> Member:
    source = prefix.path / target
    member = member_from(source, f"env/{target}")
    if target.startswith("conda-meta/") and target.endswith(".json"):
        return Member(path=member.path, mode=0o644, content=_record(source, prefix))
    if target.endswith(".pyc"):
        module = _source_of(target)
        if module in present:
            content = unchecked(source.read_bytes(), (prefix.path / module).read_bytes())
            return Member(path=member.path, mode=0o644, content=content)
    return member


def _source_of(target: str) -> str:
    """The module that a ``__pycache__/name.cpython-311.pyc`` was compiled from."""
    path = Path(target)
    return f"{path.parent.parent}/{path.name.split('.', 1)[0]}.py"


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

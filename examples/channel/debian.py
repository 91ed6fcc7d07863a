"""Debian's packages, as apt finds, verifies and fetches them."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model import ChannelError

from bundler.process import ToolFailed, run

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Deb", "has_apt", "known", "unpack"]


@dataclass(frozen=True, kw_only=True)
class Deb:
    """One of Debian's packages, as apt would fetch it now."""

    name: str
    version: str
    sha256: str

    @property
    def upstream(self) -> str:
        """``25.2.3`` of ``1:25.2.3+dfsg-1+deb12u4``."""
        found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", self.version)
        assert found
        return found[1]


def has_apt() -> bool:
    """Whether this machine has the programs."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def known(names: Sequence[str]) -> tuple[Deb, ...]:
    """What apt's lists, which it has verified, say of the packages. Raises :class:`ChannelError`."""
    try:
        shown = run(["apt-cache", "show", "--no-all-versions", *names]).stdout
    except ToolFailed as failure:
        raise ChannelError(
            f"apt does not know all of {', '.join(names)}:\n{failure.tail(3)}",
            where="Debian's packages",
            remedy="Fetch its lists: apt-get update",
        ) from failure
    stanzas = (
        dict(re.findall(r"^(Package|Version|SHA256): (.*)$", text, re.MULTILINE)) for text in shown.split("\n\n")
    )
    return tuple(
        Deb(name=entry["Package"], version=entry["Version"], sha256=entry["SHA256"]) for entry in stanzas if entry
    )


def unpack(debs: Sequence[Deb], room: Path, tree: Path) -> None:
    """Unpack ``debs`` into ``tree``; their files are kept in ``room``. Raises :class:`ChannelError`."""
    for path in _fetched(debs, room):
        run(["dpkg-deb", "--extract", path, tree])


def _fetched(debs: Sequence[Deb], room: Path) -> tuple[Path, ...]:
    """The packages' files; apt fetches those that ``room`` lacks."""
    goals = {deb: room / f"{deb.sha256}.deb" for deb in debs}
    missing = [deb for deb, path in goals.items() if not path.is_file()]
    if missing:
        room.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=room, prefix=".partial-") as scratch:
            found = _downloaded(missing, Path(scratch))
            for deb in missing:
                if deb.sha256 not in found:
                    raise ChannelError("apt brought another file than its list says", where=f"{deb.name} {deb.version}")
                found[deb.sha256].replace(goals[deb])
    return tuple(goals.values())


def _downloaded(debs: Sequence[Deb], directory: Path) -> dict[str, Path]:
    """Digest -> file."""
    wanted = [f"{deb.name}={deb.version}" for deb in debs]
    try:
        # As root it would otherwise complain that its own user may not write here.
        run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *wanted], cwd=directory)
    except ToolFailed as failure:
        raise ChannelError(
            f"apt could not download {', '.join(wanted)}:\n{failure.tail(3)}",
            where="Debian's packages",
            remedy="Its lists may be too old: apt-get update",
        ) from failure
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in directory.glob("*.deb")}

"""Portraits of a machine: every file that differs from the one it was booted from, and what its services run."""

from __future__ import annotations

import hashlib
import re
import stat
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.machine import Machine

__all__ = ["Portrait", "Serving", "changes", "portray", "with_units_of"]

# Of no concern: what a living system does by itself, the tests' own, and the second copies of the user database.
_NOISE = re.compile(
    r"(?:var/log|var/lib/systemd|var/lib/private|var/tmp|var/cache/private|tmp|run|dev|proc|sys|root|usr/local/sbin)(?:/|$)"
    r"|(?:etc|var)/\.updated$|etc/machine-id$|etc/(?:passwd|group|shadow|gshadow)-$|etc/\.pwd\.lock$"
)
_TRANSITIONAL = ("activating", "deactivating", "reloading")
_QUIET = 20.0


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A unit as systemd has it. Releases are names below ``releases/``; ``runs`` is that of the running process."""

    state: str
    enabled: str
    loads: str
    runs: str
    pid: str

    @property
    def lasting(self) -> tuple[str, ...]:
        """All but the process itself."""
        return (self.state, self.enabled, self.loads, self.runs)


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """``files`` are those that the machine has of its own: path -> kind, mode, owner, digest; ``sizes`` in bytes.

    ``settled`` is the same, with what differs from run to run made equal: secrets' values, the history's times.
    """

    files: Mapping[str, str]
    settled: Mapping[str, str]
    sizes: Mapping[str, int]
    secrets: Mapping[str, str]
    units: Mapping[str, Serving]


def portray(machine: Machine, rootfs: Path, units: tuple[str, ...]) -> Portrait:
    """Take a portrait of a machine booted from ``rootfs``, and of ``units``."""
    found = _settled_units(machine, units)
    files, settled, sizes = {}, {}, {}
    secrets: dict[str, str] = {}
    for path in sorted(str(path.relative_to(machine.upper)) for path in machine.upper.rglob("*")):
        if _NOISE.match(path):
            continue
        content = _content(machine.root / path)
        line = _line(machine.root / path, content)
        if line == _line(rootfs / path, _content(rootfs / path)):
            continue
        files[path] = line
        sizes[path] = len(content or b"")
        settled[path] = _line(machine.root / path, _without_chance(path, content))
        if path.endswith("/secrets.env"):
            secrets |= dict(re.findall(r"(?m)^(\w+)=(.*)$", (content or b"").decode()))
    return Portrait(files=files, settled=settled, sizes=sizes, secrets=secrets, units=found)


def with_units_of(machine: Machine, portrait: Portrait) -> Portrait:
    """The portrait of another machine that was booted from the same state, with what runs on this one."""
    return replace(portrait, units=_settled_units(machine, tuple(portrait.units)))


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Path -> what it was and what it is, of all that differ."""
    return {
        path: f"{before.get(path, 'nothing')} -> {after.get(path, 'nothing')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    }


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def _line(path: Path, content: bytes | None) -> str:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    if stat.S_ISLNK(status.st_mode):
        return f"link to {path.readlink()}"
    owner = f"{stat.filemode(status.st_mode)} {status.st_uid} {status.st_gid}"
    return owner if content is None else f"{owner} {len(content)} {hashlib.sha256(content).hexdigest()[:16]}"


def _without_chance(path: str, content: bytes | None) -> bytes | None:
    if content is None:
        return None
    if path.endswith("/secrets.env"):
        return re.sub(rb"(?m)^(\w+)=(.*)$", lambda found: b"%s=%d" % (found[1], len(found[2])), content)
    if path.endswith("/history"):
        return _lasting_history(content.decode()).encode()
    if path.startswith("var/lib/conda-bundler/"):
        return b"\n".join(sorted(content.splitlines()))
    return content


def _lasting_history(text: str) -> str:
    """Without its times, and without what was tried and taken back."""
    lasting: list[tuple[str, str]] = []
    for line in text.splitlines():
        _, release, action = line.split()
        if action in ("back", "rolled-back"):
            while lasting and lasting[-1][0] != release:
                lasting.pop()
        elif action not in ("failed", "rotated"):
            lasting.append((release, action))
    return str(lasting)


_ASKED = "--property=ActiveState,UnitFileState,ExecStart,MainPID"


def _settled_units(machine: Machine, units: tuple[str, ...]) -> dict[str, Serving]:
    deadline = time.monotonic() + _QUIET
    while True:
        said = machine.run("systemctl", "show", _ASKED, *units, check=True).stdout
        found = dict(zip(units, (_serving(machine, block) for block in said.strip().split("\n\n")), strict=True))
        if not any(serving.state in _TRANSITIONAL for serving in found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _serving(machine: Machine, block: str) -> Serving:
    """``block`` is what systemctl shows of one unit, a property a line; some kinds of units lack some."""
    values = dict(line.split("=", 1) for line in block.splitlines())
    pid = values.get("MainPID", "")
    return Serving(
        state=values["ActiveState"],
        enabled=values.get("UnitFileState", ""),
        loads=_release_in(values.get("ExecStart", "")),
        runs=_one_release(machine, pid) if pid not in ("", "0") else "",
        pid=pid,
    )


def _one_release(machine: Machine, pid: str) -> str:
    """The release that a process is of; all that it has must be of the same one.

    It has the unit's (RELEASE, or a path in it), that of the release's own environment file (MARK, its version) and
    that on its command line.
    """
    lines = (machine.read(f"/proc/{pid}/environ") or b"").decode().split("\0")
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    release, mark = _release_in(f"{environment.get('RELEASE', '')}/"), environment.get("MARK", "")
    argv = _release_in(" ".join((machine.read(f"/proc/{pid}/cmdline") or b"").decode().split("\0")))
    return release if release == argv and release.startswith(mark) else f"a mixture: {release}, {mark}, {argv}"


def _release_in(text: str) -> str:
    found = re.search(r".*/releases/([^/]*)/", text)
    return found[1] if found else ""

"""A control group of a machine's own in each hierarchy that systemd uses.

Without one, two machines share one payload group, and the second kills the first's services. Only the
unified hierarchy and v1's ``name=systemd`` count: nspawn and systemd look at no other, and a new group of
v1's cpuset takes no process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["make", "parse_hierarchies", "planned", "remove"]


def planned(name: str) -> tuple[Path, ...]:
    """The directories of groups called ``name``, each below the group that we are in. Makes nothing."""
    parents = parse_hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    if not parents:
        raise MissingToolError(
            "no cgroup hierarchy that systemd can use is mounted",
            remedy="Mount cgroup2 on /sys/fs/cgroup; in a container, run it privileged.",
        )
    return tuple(parent / name for parent in parents)


def parse_hierarchies(mountinfo: str, membership: str) -> tuple[Path, ...]:
    """The directory of our own group in each hierarchy, from /proc/self/mountinfo and /proc/self/cgroup.

    Formats: proc_pid_mountinfo(5) and cgroups(7).
    """
    own = {}
    for line in membership.splitlines():
        number, controllers, path = line.split(":", 2)
        own["cgroup2" if number == "0" else controllers] = path
    found: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        _, _, _, root, point, *_ = mount.split()
        kind, _, options = source.split()[:3]
        key = "cgroup2" if kind == "cgroup2" else "name=systemd"
        if key not in own or (kind != "cgroup2" and not (kind == "cgroup" and key in options.split(","))):
            continue
        inside = PurePosixPath(own[key])
        # A container may see only a part of the hierarchy: its mount's root is not "/".
        below = inside.relative_to(root) if inside.is_relative_to(root) else "."
        found.setdefault(key, Path(point) / below)
    return tuple(found.values())


def make(groups: Sequence[Path]) -> None:
    """Make the groups, or raise MissingToolError where the hierarchy is read-only."""
    for group in groups:
        try:
            group.mkdir()
        except OSError as refused:
            raise MissingToolError(
                f"cannot make the control group {group}: {refused.strerror}",
                remedy="In a container, run it privileged, so that /sys/fs/cgroup is writable.",
            ) from refused


def remove(groups: Sequence[Path], *, patience: float = 2.0) -> bool:
    """Remove the groups and all below them; whether they are gone. What was killed takes a moment to leave."""
    deadline = time.monotonic() + patience
    for group in groups:
        while not _removed(group):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
    return True


def _removed(group: Path) -> bool:
    for directory, _, _ in os.walk(group, topdown=False):
        try:
            Path(directory).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return not group.exists()

"""Where a machine lives: a mount and a process namespace of its own, so that nothing of it can outlive us.

A keeper process (``unshare … cat``) is PID 1 of the process namespace and reads from a pipe that only we
hold. When we are gone, in whatever way, the pipe ends, the keeper with it, and the kernel then kills every
process in there and drops the mounts (disk and overlay). What can be left after a SIGKILL is an empty directory
and empty cgroups; the next enclosure removes them. A parent-death signal would not do: it comes when the
*thread* that started the child ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from bundler.atomic import hold_lock
from bundler.errors import MissingToolError
from bundler.machine import cgroups
from bundler.machine.privileged import give_back
from bundler.process import find_tool, start

__all__ = ["IN_MEMORY", "OWN_NAMESPACES", "PLAIN_UMASK", "RUNNING", "Disk", "Enclosure"]

# What begins each command line of a machine: nothing on it depends on the umask of whoever boots it.
# The shell exports PWD, a directory of the host.
PLAIN_UMASK = ("sh", "-c", 'umask 022; unset PWD; exec "$@"', "sh")

# unshare's options: all mounts and processes of what it runs are gone when it is gone.
OWN_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

# Gone after a reboot of the host, as cgroups are.
RUNNING = Path("/run/conda-bundler-machines")

# The disk is a tmpfs because an overlay's upper directory cannot be on another overlay (a CI job's own root).
# An image gets names within a second and content as late as ext4 may: a copy of it is what a power cut leaves, with
# files that are there and empty, unless they were synced. A throwaway image loses its name as soon as it is mounted:
# the kernel frees it with the mount, whatever becomes of us.
# The rootfs is bound to a name of ours, as overlayfs has its own quoting for ":" and ",".
# redirect_dir lets a directory of the rootfs be renamed as on a real disk, without EXDEV. metacopy gives all of the
# rootfs to the machine's own users without a copy of what is in it. A device in it would be the host's (nodev).
_KEEPER = """
set -eu
if [ -n "$6" ]; then
    truncate -s "$4" "$6"
    mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=1 "$6"
    mount -o loop "$6" "$1"
    rm "$6"
elif [ -n "$5" ]; then
    mount -o loop,noauto_da_alloc,commit=1 "$5" "$1"
else
    mount -t tmpfs -o mode=0755,size="$4" conda-bundler "$1"
fi
mkdir -p "$1/lower" "$1/upper" "$1/work" "$1/root"
mount --bind "$2" "$1/lower"
test -z "$3" || cp -a "$3/." "$1/upper/"
test -z "$5" || sync -f "$1"
layers="lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work"
mount -t overlay -o "$layers,redirect_dir=on,index=off,metacopy=$7$8" overlay "$1/root"
echo ready
exec cat >/dev/null
"""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Where a machine's writes live: in memory, unless ``image`` or ``directory`` says otherwise.

    ``image`` is a file with an ext4 that outlives the machine. In ``directory`` a file is made for this machine alone.
    ``size`` is in tmpfs' own words, or for a ``directory`` in truncate(1)'s: what is not written takes no room.
    """

    size: str = "75%"
    image: Path | None = None
    directory: Path | None = None


IN_MEMORY = Disk()


class Enclosure:
    """A running keeper with its disk: ``disk/root`` is the merged tree, ``disk/upper`` the machine's own writes.

    ``disk`` is the host's view of it, ``inner_disk`` its name for programs started through :meth:`enter`.
    """

    def __init__(self, rootfs: Path, *, state: Path | None, disk: Disk = IN_MEMORY, new_owners: bool = False) -> None:
        unshare = find_tool("unshare", package="util-linux", purpose="booting a throwaway machine")
        self._nsenter = find_tool("nsenter", package="util-linux", purpose="booting a throwaway machine")
        self.name = f"conda-bundler-{secrets.token_hex(4)}"
        self._home = RUNNING / self.name
        self.inner_disk = self._home / "disk"
        self._lock = self._claim()
        try:
            self.cgroups = cgroups.planned(self.name)
            # Recorded before they are made, for whoever clears up after us.
            (self._home / "cgroups").write_text("".join(f"{group}\n" for group in self.cgroups))
            cgroups.make(self.cgroups)
            throwaway = disk.directory / f"{self.name}.ext4" if disk.directory else ""
            places = (self.inner_disk, rootfs, state or "", disk.size, disk.image or "", throwaway)
            options = ("on", ",nodev") if new_owners else ("off", "")
            words = ("sh", "-c", _KEEPER, "sh", *map(str, places), *options)
            self._keeper = start([*PLAIN_UMASK, unshare, *OWN_NAMESPACES, *words])
        except BaseException:
            self._clear()
            raise
        self.disk = Path(f"/proc/{self._keeper.pid}/root{self.inner_disk}")
        try:
            self._await_ready()
            give_back(rootfs, self.disk / "root")
        except BaseException:
            self.close()
            raise

    def enter(self) -> tuple[str, ...]:
        """What a command line begins with that is to run in the enclosure."""
        space = f"/proc/{self._keeper.pid}/ns"
        return (self._nsenter, f"--mount={space}/mnt", f"--pid={space}/pid_for_children", "--")

    def close(self) -> None:
        """Kill everything in it and leave nothing. May be called twice."""
        self._keeper.kill()
        self._clear()

    def _claim(self) -> int:
        """Make our directory and lock it for as long as we live; returns the lock's descriptor."""
        RUNNING.mkdir(mode=0o700, exist_ok=True)
        with hold_lock(RUNNING):  # nobody may see our directory before it is locked
            _clear_leftovers()
            self.inner_disk.mkdir(parents=True)
            lock = os.open(self._home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def _await_ready(self) -> None:
        line = self._keeper.read_line()
        if line == "ready\n":
            return
        said = line
        while line := self._keeper.read_line():
            said += line
        raise MissingToolError(
            f"the machine's disk cannot be mounted: {said.strip() or 'no answer'}",
            where=f"machine {self.name}",
            remedy="This requires tmpfs, overlayfs and namespaces; run a container privileged.",
        )

    def _clear(self) -> None:
        if self._lock < 0:
            return
        _remove(self._home)
        os.close(self._lock)
        self._lock = -1


def _clear_leftovers() -> None:
    """Remove what machines have left whose process was killed: their lock is free."""
    for home in RUNNING.iterdir():
        with contextlib.suppress(BlockingIOError, FileNotFoundError), hold_lock(home, wait=False):
            _remove(home)


def _remove(home: Path) -> None:
    """Remove a machine's cgroups and directory; what is still busy stays for the next time."""
    record = home / "cgroups"
    groups = [Path(line) for line in record.read_text().splitlines()] if record.exists() else []
    if not cgroups.remove(groups):
        return
    record.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (home / "disk").rmdir()
        home.rmdir()

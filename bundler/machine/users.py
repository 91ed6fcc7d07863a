"""Whose the users of a machine are: ids of the host that nobody has, or the host's own.

With ids of its own, root on the machine is nobody on the host: what is the host's (``/proc/sys``, ``/sys``, devices,
files) cannot be changed from there, whatever install.sh or a root file system does. Without a user namespace it has
most of root's rights, less those that no service needs.
"""

from __future__ import annotations

import grp
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from bundler.process import find_tool

__all__ = ["Users", "own_users", "parse_ranges"]

_COUNT = 1 << 16
# systemd's own range for containers (https://systemd.io/UIDS-GIDS), in steps of _COUNT.
_FIRST, _LAST = 0x0008_0000, 0x7000_0000
_TRIES = 200
# What systemd-nspawn leaves to a container and no service, package or install.sh needs.
_LEFT = ("audit_control", "lease", "linux_immutable", "mknod", "net_broadcast", "sys_tty_config")
# What root has besides who comes from outside.
_OUTSIDE = (
    *("audit_read", "block_suspend", "ipc_lock", "mac_admin", "mac_override", "sys_module", "sys_pacct", "sys_rawio"),
    *("sys_time", "syslog", "wake_alarm"),
)
_NEWER = (38, 39, 40)  # perfmon, bpf, checkpoint_restore: numbers, as setpriv may be older than the kernel


@dataclass(frozen=True, kw_only=True)
class Users:
    """``base``: the host's id of the machine's root; 0: the host's own root, and ``why``, unless that was asked for."""

    base: int = 0
    why: str = ""

    def nspawn(self) -> tuple[str, ...]:
        """systemd-nspawn's options; its --private-users-chown is --private-users-ownership=chown since 250."""
        if self.base:
            return (f"--private-users={self.base}:{_COUNT}", "--private-users-chown")
        return (f"--drop-capability={','.join(f'CAP_{name.upper()}' for name in _LEFT)}",) if self.why else ()

    def enter(self) -> tuple[str, ...]:
        """What begins a command line that enters the machine from outside, where root has all rights."""
        if not self.why:
            return ()
        setpriv = find_tool("setpriv", package="util-linux", purpose="running a program on the machine")
        newest = int(_text(Path("/proc/sys/kernel/cap_last_cap")).strip() or 37)
        names = (*_LEFT, *_OUTSIDE, *(f"cap_{number}" for number in _NEWER if number <= newest))
        return (setpriv, f"--bounding-set={','.join(f'-{name}' for name in names)}")


def own_users() -> Users:
    """Ids that nobody else has; where there can be none, why not."""
    limit = Path("/proc/sys/user/max_user_namespaces")
    if not Path("/proc/self/ns/user").exists() or not limit.exists():
        return Users(why="this kernel has no user namespaces")
    if limit.read_text().strip() == "0":
        return Users(why="user namespaces are disabled (sysctl user.max_user_namespaces)")
    mapped = [parse_ranges(Path(f"/proc/self/{kind}_map").read_text(), " ") for kind in ("uid", "gid")]
    given = [one for name in ("subuid", "subgid") for one in parse_ranges(_text(Path("/etc", name)), ":")]
    for _ in range(_TRIES):
        base = _FIRST + secrets.randbelow((_LAST - _FIRST) // _COUNT) * _COUNT
        ours = range(base, base + _COUNT)
        if all(any(_within(ours, one) for one in table) for table in mapped) and not (
            any(_overlap(ours, one) for one in given) or _is_somebodys(base)
        ):
            return Users(base=base)
    return Users(why="this container has too few user IDs for a machine")


def parse_ranges(text: str, separator: str) -> tuple[range, ...]:
    """Ids of /proc/PID/uid_map (separated by blanks) or of /etc/subuid (``NAME:FIRST:COUNT``); no other lines."""
    rows = (line.split() if separator == " " else line.strip().split(separator)[1:] for line in text.splitlines())
    numbers = ((int(row[0]), int(row[-1])) for row in rows if len(row) > 1 and all(word.isdecimal() for word in row))
    return tuple(range(first, first + count) for first, count in numbers)


def _within(one: range, other: range) -> bool:
    return one.start >= other.start and one.stop <= other.stop


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def _is_somebodys(base: int) -> bool:
    """A directory service may give out such numbers."""
    for ask in (pwd.getpwuid, grp.getgrgid):
        try:
            ask(base)
        except KeyError:
            continue
        return True
    return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

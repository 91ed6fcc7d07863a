"""The sandbox ("cage") in which packages' code runs during a build; it can access only what it is given.

Its root file system consists of read-only bind mounts of the system's programs and libraries, a few generated files in
``/etc``, an empty ``/tmp``, a minimal ``/dev``, and what the caller binds. There is no network, no home directory, no
process of the host, no terminal and no open file except the output. Processes in it have no capabilities and cannot
gain any, and are killed when the first of them ends, the time is up, or the build dies.

It consists of two nested PID namespaces. The outer one contains the keeper, a shell that makes the mounts, waits, and
reads from a pipe that only we hold, so that it kills the cage when we are killed. The caged code is in the inner one
and cannot signal the keeper. Nothing is created on the host: the cage's root is mounted over ``/sys``, which the cage
does not need, in a mount namespace that ends with the keeper.

If the builder is root, the cage runs as an unused user id. Otherwise it uses user namespaces: its user id maps to the
builder's, of whose files it sees only those that are bound.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError
from bundler.process import ToolFailed, find_tool, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["HOME", "SYSTEM_PATH", "Bind", "Caged", "Limits", "owner", "run_caged"]

HOME = "/tmp"  # noqa: S108 -- the cage's own, empty and gone with it
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_USER = 1_900_000_000
"""Between the ids that systemd uses for containers (below 1,879,048,192) and foreign ids (from 2,147,352,576 on)."""
_NEEDED = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_ADMIN": 21}

_PROGRAMS = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/libexec",
    "/usr/share",
)
_BESIDE_USR = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Links into /usr on most systems."""
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "shm": HOME}

# The outer namespaces; the keeper creates the inner ones, which the caged processes are in.
_NAMESPACES = ("--mount", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork", "--kill-child")

# In a user namespace, a directory can be bound only with the mounts below it: bind_all makes those read-only, too.
# Output goes to a file in memory: so a remaining process cannot delay us by keeping a pipe open, and endless output
# fills that file instead of our memory. Descriptor 5 is the pipe that only the build holds, 7 and 8 are the output.
_KEEPER = """
set -eu
umask 022
token=$1 mode=$2 user=$3 seconds=$4 memory=$5 inner=$6
shift 6
root=/sys
exec 5<&0 </dev/null
bind_all() {
    mount --rbind "$1" "$2"
    while read -r _ _ _ _ point options _; do
        point=$(printf %b "$point")
        case $point in "$2"/*) mount -o "remount,bind,$options,ro,nosuid,nodev" "$point" ;; esac
    done </proc/self/mountinfo
}
hostname localhost 2>/dev/null || echo localhost >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=0755,nosuid,nodev,size=64m cage "$root"
mkdir "$root/etc" "$root/dev" "$root/proc" "$root/tmp"
mount -t tmpfs -o "mode=1777,nosuid,nodev,size=$memory" cage "$root/tmp"
while [ "$1" != -- ]; do
    mkdir -p "$root${3%/*}"
    case $1 in
    link) ln -s "$2" "$root$3" ;;
    file) printf '%s' "$2" >"$root$3" ;;
    bind)
        if [ -d "$2" ]; then mkdir -p "$root$3"; else : >"$root$3"; fi
        mount --bind "$2" "$root$3" 2>/dev/null || bind_all "$2" "$root$3"
        mount -o "remount,bind,$4" "$root$3"
        ;;
    esac
    shift 4
done
shift
: >"$root/output"
exec 7>>"$root/output"
exec 8<"$root/output"
rm "$root/output"
unshare --mount --pid --fork --kill-child sh -c "$inner" sh "$token" "$mode" "$user" "$@" >&7 5<&- 8<&- &
cage=$!
(cat <&5 >/dev/null; kill -KILL "$cage") 7>&- 8<&- &
(sleep "$seconds"; echo late >&2; kill -KILL "$cage") 5<&- 7>&- 8<&- &
status=0
wait "$cage" || status=$?
tail -c 65536 <&8
exit "$status"
"""

# subset=pid (Linux 5.8) hides the machine's own files in /proc. The token shows that the cage works: any failure after
# it was written is the caged program's.
_INNER = """
set -eu
token=$1 mode=$2 user=$3 directory=$4
shift 4
root=/sys
options=nosuid,nodev,noexec
mount -t proc -o "$options,subset=pid" proc "$root/proc" 2>/dev/null || mount -t proc -o "$options" proc "$root/proc"
mount -o remount,bind,ro,nosuid,nodev "$root"
cd "$root"
pivot_root . .
umount -l .
cd /
launch() {
    if [ "$mode" = root ]; then
        setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
    else
        unshare --user --map-user="$user" --map-group="$user" setpriv --no-new-privs "$@"
    fi
}
launch setsid prlimit --core=0:0 test -x "$directory"
echo "$token" >&2
exec 2>&1 7>&-
cd "$directory"
status=0
launch setsid prlimit "$@" || status=$?
exit "$status"
"""


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A file or directory of the host, at ``target`` in the cage. If writable, it has to belong to :func:`owner`."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The cage's limits: seconds, processes, and bytes of a file, of a process's data, and of ``/tmp``."""

    seconds: float = 120
    processes: int = 1024
    file_size: int = 8 << 30
    data: int = 4 << 30
    tmp: int = 1 << 30

    def options(self) -> tuple[str, ...]:
        """Options for prlimit(1). Address space that is only reserved (Java, Go) does not count as data."""
        limits = {"nproc": self.processes, "fsize": self.file_size, "data": self.data, "core": 0, "nofile": 1024}
        return tuple(f"--{name}={value}:{value}" for name, value in limits.items())


@dataclass(frozen=True, kw_only=True)
class Caged:
    """The result of a caged program: its exit status as in a shell, and the end of its combined output.

    ``late``: it was killed because its time was up.
    """

    status: int
    output: str
    late: bool


def owner() -> int | None:
    """The user and group id that must own a writable tree; None if the cage writes as the builder."""
    return _USER if _root_can_cage() else None


def run_caged(
    argv: Sequence[str],
    *,
    binds: Sequence[Bind] = (),
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    limits: Limits | None = None,
) -> Caged:
    """Run a program in a new cage, with only the variables in ``env``, and wait for its end.

    Raises :class:`MissingToolError` if this machine cannot create one; nothing is run outside it.
    """
    limits = limits or Limits()
    mode = "root" if _root_can_cage() else "user"
    unshare = find_tool("unshare", package="util-linux", purpose="running packages' code in a sandbox")
    namespaces = _NAMESPACES if mode == "root" else ("--user", "--map-root-user", *_NAMESPACES)
    token = secrets.token_hex(8)
    words = [unshare, *namespaces, "sh", "-c", _KEEPER, "sh"]
    words += [token, mode, str(_USER), str(limits.seconds), str(limits.tmp), _INNER, *_furnishing(binds), "--", cwd]
    words += [*limits.options(), "env", "-i", *(f"{name}={value}" for name, value in (env or {}).items()), *argv]
    listening, holding = os.pipe()  # the keeper gets end of file when we are gone
    try:
        with open(listening, "rb") as pipe:  # noqa: PTH123 -- a descriptor, not a path
            done = run(
                words, env={"PATH": SYSTEM_PATH}, cwd=Path("/"), stdin=pipe, check=False, timeout=limits.seconds + 60
            )
    except ToolFailed as stuck:
        raise _impossible(f"it did not finish: {stuck.tail()}") from stuck
    finally:
        os.close(holding)
    said = done.stderr.splitlines()
    if token not in said:
        raise _impossible(" ".join(said) or "no answer")
    return Caged(status=done.status, output=done.stdout, late="late" in said[said.index(token) :])


def _root_can_cage() -> bool:
    """Whether we are root with the required capabilities, and the cage's user id exists: a container may have few."""
    if os.geteuid() != 0:
        return False
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return all(effective >> bit & 1 for bit in _NEEDED.values()) and _is_mapped("uid_map") and _is_mapped("gid_map")


def _is_mapped(table: str) -> bool:
    lines = Path(f"/proc/self/{table}").read_text(encoding="utf-8").splitlines()
    ranges = ((int(first), int(count)) for first, _, count in map(str.split, lines))
    return any(first <= _USER < first + count for first, count in ranges)


def _furnishing(binds: Sequence[Bind]) -> Iterator[str]:
    """What the keeper puts into the root file system, four words each."""
    for path in map(Path, (*_PROGRAMS, *_BESIDE_USR, *_SETTINGS)):
        if path.is_symlink():
            yield from ("link", str(path.readlink()), str(path), "")
        elif path.exists():
            yield from ("bind", str(path), str(path), _options(path, writable=False))
    for name, content in _files().items():
        yield from ("file", content, name, "")
    for name in _DEVICES:
        yield from ("bind", f"/dev/{name}", f"/dev/{name}", "rw,nosuid,noexec")
    for name, target in _DEVICE_LINKS.items():
        yield from ("link", target, f"/dev/{name}", "")
    for bind in binds:
        yield from ("bind", str(bind.source), bind.target, _options(bind.source, writable=bind.writable))


def _files() -> dict[str, str]:
    people = {"root": (0, "/"), "cage": (_USER, HOME), "nobody": (65534, "/")}
    return {
        "/etc/passwd": "".join(f"{name}:x:{uid}:{uid}:{name}:{home}:/bin/sh\n" for name, (uid, home) in people.items()),
        "/etc/group": "".join(f"{name}:x:{uid}:\n" for name, (uid, _) in people.items()),
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def _options(source: Path, *, writable: bool) -> str:
    """Mount options, with those of the source, which a user namespace cannot remove."""
    has = os.statvfs(source).f_flag
    noexec = ",noexec" if has & os.ST_NOEXEC else ""
    return f"{'rw' if writable and not has & os.ST_RDONLY else 'ro'},nosuid,nodev{noexec}"


def _impossible(reason: str) -> MissingToolError:
    return MissingToolError(
        f"packages' code runs only in a sandbox, and this machine cannot create one: {reason}",
        where="cage",
        remedy="This requires Linux namespaces: build as root or where users may create user namespaces (sysctl "
        "user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns); "
        "in a container, run it privileged.",
    )

"""Boot a root directory under systemd-nspawn, run things on it, and throw it away."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import SmokeError
from bundler.machine.enclosure import IN_MEMORY, PLAIN_UMASK, Disk, Enclosure
from bundler.machine.inside import read_inside, write_inside
from bundler.machine.processes import descendants, kill
from bundler.machine.processes import leader as leader_of
from bundler.machine.rootfs import need_root
from bundler.machine.terminal import attach
from bundler.machine.users import Users, own_users
from bundler.process import Background, ToolFailed, find_tool, run, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import IO

    from typing_extensions import Self

__all__ = ["Answer", "Machine"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/root"}
_INSIDE = ("-m", "-u", "-i", "-n", "-p", "-C")

# The user namespace last: nsenter joins it first, and is root there.
_OWN_USERS = "-U"

# A pipe is the user's who made it, and root of the machine could not open it again (/dev/stderr).
_GIVE_PIPES = """
owner=$1; shift
for pipe in /proc/self/fd/1 /proc/self/fd/2; do [ ! -p "$pipe" ] || chown "$owner" "$pipe"; done
exec "$@"
"""

# From the host into the machine, where its own tar unpacks: no path of the machine is followed from outside.
# The status is tar's own, or else that of what it is piped into.
_COPY = """
source=$1; shift
status=$({ { tar -C "$source" --numeric-owner --owner=0 --group=0 -cf - . || echo "$?" >&3; } |
    { "$@" >&2 || echo "$?" >&3; }; } 3>&1)
[ -z "$status" ]
"""
_UNPACK = 'test ! -e "$1" && mkdir -p "$1" && exec tar -xpf - -C "$1"'
_SAVE = 'test ! -e "$1" && mkdir -p "${1%/*}/" && cat >"$1" && chmod "$2" "$1"'

_OWN_TERMINAL = ("setsid", "--ctty", "--wait")
# The better shell, as a login has it.
_SHELL = "cd; command -v bash >/dev/null && exec bash -l; exec sh -l"

# nspawn divides the control group that it is started in. "0" is the writer, whatever its process namespace.
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs"; shift; done; shift; exec "$@"'

_NSPAWN = (
    "--quiet",
    "--boot",
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--link-journal=no",
    "--resolv-conf=off",
    "--timezone=off",
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program on the machine did. ``status`` is 124 if it ran out of time."""

    status: int
    stdout: str
    stderr: str


class Machine:
    """A throwaway machine: systemd as PID 1, only loopback, all of ``rootfs`` and its own writes above it.

    ::

        with Machine(rootfs("bookworm")) as machine:
            machine.run("systemctl", "is-active", "hello").stdout

    ``rootfs`` is never written to. The writes live on ``disk`` until the end of the block, over any number of stops,
    kills and starts; on an image of the caller's, longer. ``state`` is a :meth:`snapshot` to begin with. Whatever ends
    the block, or us, nothing stays behind: see :mod:`bundler.machine.enclosure`. With ``own_users`` its root is nobody
    on the host (:mod:`bundler.machine.users`), which takes half a second; without, what runs there has to be trusted.
    Raises MissingToolError (not root, a program or a right is missing) and SmokeError (it does not come up).
    """

    def __init__(
        self,
        rootfs: Path,
        *,
        state: Path | None = None,
        disk: Disk = IN_MEMORY,
        boot_timeout: float = 60,
        own_users: bool = False,
    ) -> None:
        self._rootfs = rootfs
        self._wants_own_users = own_users
        self._users = Users()
        self._state = state
        self._disk = disk
        self._boot_timeout = boot_timeout
        self._enclosure: Enclosure | None = None
        self._nspawn: Background | None = None

    def __enter__(self) -> Self:
        need_root()
        self._users = own_users() if self._wants_own_users else Users()
        self._enclosure = Enclosure(self._rootfs, state=self._state, disk=self._disk, new_owners=bool(self._users.base))
        try:
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def name(self) -> str:
        """Its host name, unique on this host."""
        return self._home.name

    @property
    def users(self) -> Users:
        """Whose its users are on this host."""
        return self._users

    @property
    def root(self) -> Path:
        """Its disk as the host sees it, running or not; without what is mounted on it (/proc, /run, /tmp).

        Do not follow links in it: an absolute one leads into the host.
        """
        return self._home.disk / "root"

    @property
    def upper(self) -> Path:
        """Overlayfs' upper directory: the files of its disk that were written since ``rootfs``, with whiteouts."""
        return self._home.disk / "upper"

    @property
    def leader(self) -> int:
        """The host's number of its PID 1, another one after each boot. Raises SmokeError while it is off."""
        pid = None if self._nspawn is None else leader_of(self._nspawn.pid)
        if pid is None:
            raise SmokeError("the machine is not running", where=f"machine {self.name}")
        return pid

    @property
    def systemd_version(self) -> int:
        """252 for ``systemd 252 (252.39-1~deb12u2)``."""
        return int(self.run("systemctl", "--version", check=True).stdout.split()[1])

    def run(
        self,
        *argv: str,
        check: bool = False,
        timeout: float = 600,
        env: Mapping[str, str] | None = None,
        stdin: bytes | IO[bytes] | None = None,
    ) -> Answer:
        """Run a program as an operator's root shell would, in a clean environment to which ``env`` is added.

        With ``check`` any status but 0 raises SmokeError. After ``timeout`` seconds we no longer wait for it.
        """
        with _as_file(stdin) as file:
            answer = self._enter(self._inside(), argv, timeout, env=env, stdin=file)
        return self._succeeded(argv, answer) if check else answer

    def shell(self) -> None:
        """Let whoever sits at our terminal work on the machine, as root, until that shell ends."""
        words = [*self._entering(self._inside()), *_OWN_TERMINAL, "sh", "-c", _SHELL]
        attach(words, _ENVIRONMENT | {"TERM": os.environ.get("TERM", "linux")})

    def run_as_service(
        self, *argv: str, check: bool = False, timeout: float = 600, env: Mapping[str, str] | None = None
    ) -> Answer:
        """Run a program as a transient unit: started by PID 1, in a control group of its own, no stdin."""
        setenv = [f"--setenv={name}={value}" for name, value in (env or {}).items()]
        words = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *setenv, "--", *argv]
        return self.run(*words, check=check, timeout=timeout)

    def run_on_its_network(self, *argv: str, timeout: float = 60) -> Answer:
        """Run a program of the host that sees the machine's network instead of the host's: an HTTP client, say."""
        return self._enter(("-n",), argv, timeout)

    def put(self, target: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file of root's; its directory is made if it is missing."""
        write_inside(self._seen_root(), target, content, mode=mode, owner=self._users.base)

    def read(self, target: str) -> bytes | None:
        """A file's content, None if there is no such file. Unlike what :meth:`run` prints, never logged."""
        return read_inside(self._seen_root(), target)

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file or a directory of the host to ``target``, which must not exist yet; it becomes root's.

        The machine must be running.
        """
        try:
            if source.is_dir():
                words = self._entering(self._inside())
                run(["sh", "-c", _COPY, "sh", source, *words, "sh", "-c", _UNPACK, "sh", target], env=_ENVIRONMENT)
            else:
                with source.open("rb") as file:
                    mode = f"{os.fstat(file.fileno()).st_mode & 0o777:o}"
                    self.run("sh", "-c", _SAVE, "sh", target, mode, stdin=file, check=True)
        except (ToolFailed, SmokeError, OSError) as failed:
            raise SmokeError(
                f"cannot copy {source} to {target} on the machine: {_reason(failed)}",
                where=f"machine {self.name}",
                remedy="Check that its disk has enough space for the bundle and the installation.",
            ) from failed

    def start(self) -> None:
        """Boot it and wait until systemd has started all that it starts at boot."""
        if self._nspawn is not None and not self._nspawn.ended():
            raise SmokeError("the machine is already running", where=f"machine {self.name}")
        self._forget()
        nspawn = find_tool("systemd-nspawn", package="systemd-container", purpose="booting a throwaway machine")
        home = self._home
        words = [
            nspawn,
            *_NSPAWN,
            *self._users.nspawn(),
            f"--directory={home.inner_disk}/root",
            f"--machine={self.name}",
        ]
        with self._console.open("ab") as console:
            self._nspawn = start(
                [*PLAIN_UMASK, *home.enter(), "sh", "-c", _JOIN, "sh", *home.cgroups, "--", *words],
                # Asks for cgroup2 alone inside, on a host that has both (sd-257 knows nothing else).
                env={"PATH": _PATH, "LANG": "C.UTF-8", "UNIFIED_CGROUP_HIERARCHY": "1"},
                output=console,
            )
        self._await_boot(self._nspawn)

    def stop(self, *, timeout: float = 60) -> None:
        """Shut it down in an orderly way; its disk stays."""
        os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
        self.wait_until_off(timeout=timeout)

    def wait_until_off(self, *, timeout: float = 60) -> None:
        """Wait for an end that was asked for inside; a reboot, too, leaves it off until :meth:`start`."""
        if self._nspawn is not None and not self._nspawn.ended(within=timeout):
            self.kill()
            raise self._failed(f"it did not shut down within {timeout:g} s")
        self._forget()

    def reboot(self) -> None:
        """Shut it down and boot it again from the same disk."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it as SIGKILL does, all processes at once; its disk stays, with all writes, synced or not."""
        if self._nspawn is not None:
            leader = leader_of(self._nspawn.pid)
            if leader is not None:
                kill(leader)
                self._nspawn.ended(within=10)  # nspawn has to clear up behind its PID 1
            for pid in descendants(self._nspawn.pid):
                kill(pid)
        self._forget()

    def snapshot(self, target: Path) -> Path:
        """Copy what differs from the rootfs to ``target``, a new directory, for ``Machine(state=target)``.

        Stop or kill the machine first if the state has to hold together.
        """
        target.mkdir(parents=True)
        run(["cp", "-a", "--", f"{self.upper}/.", target])
        return target

    @property
    def _home(self) -> Enclosure:
        if self._enclosure is None:
            raise SmokeError("the machine has not been booted: use it in a with statement")
        return self._enclosure

    @property
    def _console(self) -> Path:
        return self._home.disk / "console"

    def _enter(
        self,
        namespaces: Sequence[str],
        argv: Sequence[str],
        timeout: float,
        *,
        env: Mapping[str, str] | None = None,
        stdin: IO[bytes] | None = None,
    ) -> Answer:
        words = [*self._entering(namespaces), *argv]
        try:
            done = run(words, env=_ENVIRONMENT | dict(env or {}), check=False, timeout=timeout, stdin=stdin)
        except ToolFailed as late:
            done = late.finished
        return Answer(status=done.status, stdout=done.stdout, stderr=done.stderr)

    def _inside(self) -> tuple[str, ...]:
        """nsenter's options for all that is the machine's."""
        return (*_INSIDE, _OWN_USERS) if self._users.base else _INSIDE

    def _entering(self, namespaces: Sequence[str]) -> tuple[str, ...]:
        """What a command line begins with that is to run in these namespaces of the machine's."""
        nsenter = find_tool("nsenter", package="util-linux", purpose="running a program on the machine")
        pipes = ("sh", "-c", _GIVE_PIPES, "sh", f"{self._users.base}") if _OWN_USERS in namespaces else ()
        whose = self._users.enter()
        return (*PLAIN_UMASK, *pipes, *whose, nsenter, "-t", str(self.leader), *namespaces, "--")

    def _succeeded(self, argv: Sequence[str], answer: Answer) -> Answer:
        if answer.status != 0:
            said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()[-10:]
            raise SmokeError(
                "\n  ".join((f"`{shlex.join(argv)}` exited with {answer.status}", *said)),
                where=f"machine {self.name}",
            )
        return answer

    def _seen_root(self) -> Path:
        """Where the host finds its files; if the machine runs, with what is mounted there."""
        running = self._nspawn is not None and not self._nspawn.ended()
        return Path(f"/proc/{self.leader}/root") if running else self.root

    def _await_boot(self, nspawn: Background) -> None:
        deadline = time.monotonic() + self._boot_timeout
        state = ""
        while time.monotonic() < deadline and not nspawn.ended():
            # At first there is no PID 1, then no bus. Asked again and again: --wait came with systemd 240. Not without
            # a pause: to ask takes CPU that the machine boots with.
            with contextlib.suppress(SmokeError):
                state = self.run("systemctl", "is-system-running", timeout=5).stdout.strip()
            if state in {"running", "degraded"}:
                return
            time.sleep(0.1)
        ended = nspawn.ended()
        self.kill()
        raise self._failed(
            "systemd-nspawn exited before the machine was up"
            if ended
            else f"it did not boot within {self._boot_timeout:g} s; systemd reports {state or 'nothing'}"
        )

    def _failed(self, what: str) -> SmokeError:
        tail = self._console.read_text("utf-8", "replace").splitlines()[-15:]
        return SmokeError(
            what,
            where=f"machine {self.name}",
            remedy="\n  ".join(("Last lines of its console:", *tail)) if tail else None,
        )

    def _close(self) -> None:
        if self._enclosure is not None:
            self._enclosure.close()  # kills nspawn and all below it
        self._forget()
        self._enclosure = None

    def _forget(self) -> None:
        if self._nspawn is not None:
            self._nspawn.kill()
        self._nspawn = None


def _reason(failed: ToolFailed | SmokeError | OSError) -> str:
    if isinstance(failed, ToolFailed):
        return failed.tail(1) or "it already exists"
    return (failed.message if isinstance(failed, SmokeError) else failed.strerror) or "unknown"


@contextlib.contextmanager
def _as_file(content: bytes | IO[bytes] | None) -> Iterator[IO[bytes] | None]:
    if not isinstance(content, bytes):
        yield content
        return
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file

"""The cage: what runs in it sees nothing, changes nothing, reaches nobody, and is gone afterwards."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from bundler import cage
from bundler.cage import HOME, SYSTEM_PATH, Bind, Caged, Limits, owner, run_caged
from bundler.errors import MissingToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 12345
CHECKOUT = Path(__file__).parents[2]
ENV = {"PATH": SYSTEM_PATH, "HOME": HOME}

# Runs one script in a cage, as whoever it is itself, and says how that ended. Its arguments are in JSON.
RUNNER = """
import json, sys
from pathlib import Path
from bundler.cage import Bind, Limits, run_caged
script, room, seconds = json.loads(sys.argv[1])
bind = Bind(source=Path(room), target="/opt/x/env", writable=True)
ended = run_caged(["bash", "-c", script], binds=[bind], env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
                  cwd="/opt/x/env", limits=Limits(seconds=seconds))
print(json.dumps([ended.status, ended.output, ended.late]))
"""


class Builder:
    """Somebody who runs scripts in a cage: root, or an ordinary user with what the kernel gives to such."""

    def __init__(self, room: Path, uid: int) -> None:
        self.room = room
        self._uid = uid
        given = (owner() or 0) if uid == 0 else uid
        os.chown(room, given, given)

    def argv(self, script: str, seconds: float) -> list[str]:
        words = [sys.executable, "-c", RUNNER, json.dumps([script, str(self.room), seconds])]
        if self._uid == os.geteuid():
            return words
        # The one right too many lets it read our Python, which may lie in root's home. It is lost on the way into the
        # cage, as user namespaces give and take all rights.
        user = ["setpriv", "--reuid", str(self._uid), "--regid", str(self._uid), "--clear-groups"]
        return [*user, "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", *words]

    def run(self, script: str, *, seconds: float = 60) -> Caged:
        done = subprocess.run(
            self.argv(script, seconds), capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=120
        )
        assert done.returncode == 0, done.stderr
        status, output, late = json.loads(done.stdout)
        return Caged(status=status, output=output, late=late)


@pytest.fixture(params=["root", "user"])
def builder(request: pytest.FixtureRequest) -> Iterator[Builder]:
    if os.geteuid() != 0:
        if request.param == "root":
            pytest.skip("takes root")
        with tempfile.TemporaryDirectory() as own:
            yield Builder(Path(own), os.geteuid())
        return
    # Not in pytest's own directory: that is root's alone.
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        room = Path(above) / "room"
        room.mkdir()
        yield Builder(room, 0 if request.param == "root" else USER)


def processes(marker: str) -> list[int]:
    """Processes of the host, those in the cage included, that have ``marker`` in their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_its_scripts_are_clean(tmp_path: Path) -> None:
    for name, script in {"keeper": cage._KEEPER, "inner": cage._INNER}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}")
    done = subprocess.run(
        ["shellcheck", tmp_path / "keeper", tmp_path / "inner"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_it_has_no_right_and_no_name(builder: Builder) -> None:
    done = builder.run("id -u; id -un; umask; grep -E 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs' /proc/self/status; exit 3")
    assert done.status == 3
    uid, name, umask, *rights = done.output.split("\n")
    assert (uid, name, umask) == ("1900000000", "cage", "0022")
    assert [line.split()[1] for line in rights if line] == ["0" * 16] * 4 + ["1"]


def test_what_it_writes_is_in_its_output_alone(builder: Builder) -> None:
    done = builder.run(
        "echo here >file; for place in / /usr /usr/bin /etc /dev /proc /opt /opt/x; do echo x >$place/intruder; done; "
        "echo y >/usr/bin/env; echo home >$HOME/it; cat $HOME/it"
    )
    assert [path.name for path in builder.room.iterdir()] == ["file"]
    assert done.output.endswith("home\n")
    assert done.output.count("Read-only file system") + done.output.count("Permission denied") >= 8
    assert not Path("/usr/bin/intruder").exists()


def test_nothing_of_the_host_is_to_be_seen(builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word = secrets.token_hex(8)
    monkeypatch.setenv("API_TOKEN", word)
    (tmp_path / "credentials").write_text(word)
    tmp_path.chmod(0o755)
    (tmp_path / "credentials").chmod(0o644)
    done = builder.run(
        f"cat {tmp_path}/credentials /etc/shadow /etc/hostname ~/.ssh/* /root/.bashrc; env; "
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n'; ls -a / /home /root /etc /var /run /mnt /srv /sys /usr/local /tmp; "
        "ls /proc | grep -c '^[0-9]'; echo end"
    )
    assert word not in done.output
    assert "root:" not in done.output
    seen = set(done.output.split())
    assert seen.isdisjoint({"home", "root", "var", "run", "srv", "mnt", "shadow", "hostname", "cmdline", "kcore"})
    *_, processes, end = done.output.splitlines()
    assert (int(processes) < 10, end) == (True, "end")


def test_there_is_no_network_not_even_the_hosts_loopback(builder: Builder) -> None:
    """Neither by TCP nor by an abstract socket, which no file system keeps apart."""
    name = f"cage-{secrets.token_hex(6)}"
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as abstract:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        abstract.bind(f"\0{name}")
        abstract.listen()
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect(chr(0) + '{name}')"
        done = builder.run(
            f"exec 3<>/dev/tcp/127.0.0.1/{listener.getsockname()[1]} && echo reached; "
            f"/usr/bin/perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0); "
            f'connect(S,sockaddr_un("\\0{name}")) or die "$!\\n"; print "reached\\n"\'; '
            f'/usr/bin/python3 -c "{connect}" && echo reached; echo end'
        )
    assert "reached" not in done.output
    assert "Network is unreachable" in done.output or "Connection refused" in done.output
    assert done.output.endswith("end\n")


def test_what_hangs_is_killed_with_all_that_it_has_started(builder: Builder) -> None:
    seconds = f"4{secrets.randbelow(10**8):08}"
    done = builder.run(f"echo begun; setsid sleep {seconds} & trap '' TERM INT; sleep {seconds}", seconds=2)
    assert (done.late, done.output) == (True, "begun\n")
    assert until(lambda: not processes(seconds))


def test_what_is_left_behind_holds_nothing_up_and_dies(builder: Builder) -> None:
    seconds = f"4{secrets.randbelow(10**8):08}"
    done = builder.run(f"(setsid sleep {seconds} &); echo done")
    assert (done.status, done.late, done.output) == (0, False, "done\n")
    assert until(lambda: not processes(seconds))


def test_it_cannot_stop_the_clock(builder: Builder) -> None:
    """Killing and stopping all that it sees is no way out: the keeper is in another process namespace."""
    done = builder.run("kill -KILL 1; kill -STOP 1; kill -KILL -1; sleep 10000", seconds=3)
    assert done.late


def test_a_killed_build_leaves_nothing(builder: Builder) -> None:
    seconds = f"4{secrets.randbelow(10**8):08}"
    before = Path("/proc/self/mountinfo").read_text().count("cage")
    running = subprocess.Popen(builder.argv(f"echo x >begun; sleep {seconds}", 600), cwd=CHECKOUT)
    assert until((builder.room / "begun").exists)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert until(lambda: not processes(seconds))
    assert Path("/proc/self/mountinfo").read_text().count("cage") == before


def test_endless_output_ends(builder: Builder) -> None:
    done = builder.run("yes 'as long as it takes'; echo the last words >/dev/full", seconds=60)
    assert not done.late
    assert len(done.output) <= 1 << 16
    assert "No space left" in builder.run("echo x >/dev/full").output


def test_it_has_no_terminal_and_no_file_of_ours(builder: Builder, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        done = builder.run("cat; ls -l /proc/self/fd | sed 's/.*-> //' | sort; : </dev/tty; tty")
    assert str(tmp_path) not in done.output
    assert "No such file or directory" in done.output
    assert "not a tty" in done.output


def test_limits_hold() -> None:
    limits = Limits(seconds=60, processes=20, file_size=1 << 20, tmp=1 << 20)
    script = (
        "(for n in $(seq 50); do sleep 5 & done) 2>&1 | head -1; head -c 2000000 /dev/zero >/tmp/a; "
        "stat -c %s /tmp/a; ulimit -c"
    )
    done = run_caged(["sh", "-c", script], env=ENV, limits=limits)
    assert "Cannot fork" in done.output
    assert done.output.endswith("1048576\n0\n")


def test_what_is_mounted_below_the_systems_directories_is_read_only(builder: Builder) -> None:
    """As container engines do with drivers; a user namespace cannot leave such mounts out."""
    mount = "mount -t tmpfs -o mode=1777 tmpfs"
    inside = f"{mount} /usr/share/man; mkdir '/usr/share/man/a b'; {mount} '/usr/share/man/a b'; exec \"$@\""
    script = (
        "echo x >/usr/share/man/x; echo y >'/usr/share/man/a b/y'; cat /usr/share/man/x '/usr/share/man/a b/y'; exit 4"
    )
    words = ["unshare", "--mount", "sh", "-c", inside, "sh", *builder.argv(script, 60)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
    status, output, _ = json.loads(done.stdout)
    assert status == 4
    assert output.count("cat: ") == 2


def test_what_is_bound_read_only_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    tmp_path.chmod(0o777)
    (tmp_path / "file").chmod(0o666)
    done = run_caged(
        ["sh", "-c", "cat /in/file; echo x >/in/file"], binds=[Bind(source=tmp_path, target="/in")], env=ENV
    )
    assert done.output.startswith("kept")
    assert (done.status != 0, (tmp_path / "file").read_text()) == (True, "kept")


def test_without_namespaces_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is not privileged: unshare(1) fails there."""
    fake = tmp_path / "bin" / "unshare"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(MissingToolError, match="Operation not permitted") as caught:
        run_caged(["touch", str(tmp_path / "ran")], env=ENV)
    assert caught.value.exit_code == 9
    assert "user namespaces" in (caught.value.remedy or "")
    assert not (tmp_path / "ran").exists()


def test_several_at_the_same_time() -> None:
    ended: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: ended.append(run_caged(["sh", "-c", f"sleep 1; echo {n}"], env=ENV).output))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == [f"{n}\n" for n in range(4)]

"""A machine whose users are nobody on the host: what it can still do, and what a hostile one cannot."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bundlekit import LEAST
from everywhere import everywhere

from bundler.errors import SmokeError
from bundler.machine import Machine, boot, rootfs
from bundler.machine.users import Users
from bundler.progress import QuietProgress
from bundler.resources import cache_dir
from bundler.smoke.run import SmokeOptions, smoke

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

# Writes what is there already, so that nothing is harmed where it succeeds.
HOSTILE = r"""
same() { # FILE
    value=$(cat "$1" 2>/dev/null) && printf '%s\n' "$value" 2>/dev/null >"$1" && echo "WROTE $1"
}
mkdir -p /h/proc /h/sys /h/dev
mount -t proc proc /h/proc && echo "a proc of its own"
mount -t sysfs sysfs /h/sys
for file in kernel/core_pattern kernel/sched_rt_runtime_us kernel/modprobe vm/overcommit_memory fs/file-max; do
    same "/h/proc/sys/$file"
    same "/proc/sys/$file"
done
cd /h/sys
for file in kernel/mm/transparent_hugepage/enabled kernel/uevent_helper block/*/queue/nr_requests; do
    same "/h/sys/$file"
done
cd /
[ ! -w /h/proc/sysrq-trigger ] || echo "WROTE sysrq-trigger"
mount -t devtmpfs none /h/dev && echo "WROTE devtmpfs"
for disk in /h/sys/block/*; do
    number=$(cat "$disk/dev") || continue
    mknod "/h/disk" b "${number%:*}" "${number#*:}" && dd if=/h/disk of=/dev/null bs=512 count=1 && echo "WROTE $disk"
    rm -f /h/disk
done
dmesg >/dev/null 2>&1 && echo "WROTE dmesg"
again='mount -t proc proc /h/proc; cat /h/proc/sys/kernel/core_pattern >/h/value
cat /h/value 2>/dev/null >/h/proc/sys/kernel/core_pattern'
unshare --mount --pid --fork sh -c "$again" 2>/dev/null && echo "WROTE core_pattern"
umount /h/proc /h/sys
cat /proc/self/uid_map
echo done
"""


@pytest.fixture(scope="module", params=["bookworm", *everywhere("bullseye", "trixie")])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with Machine(rootfs(request.param), own_users=True) as running:
        yield running


def test_everything_on_it_starts(machine: Machine) -> None:
    assert machine.users.base > 0
    assert machine.run("systemctl", "is-system-running").stdout == "running\n"
    machine.reboot()
    assert machine.run("systemctl", "is-system-running").stdout == "running\n"


def test_its_root_is_nobody_here(machine: Machine) -> None:
    status = Path(f"/proc/{machine.leader}/status").read_text()
    assert f"Uid:\t{machine.users.base}\t" in status
    assert "Uid:\t0\t" not in status
    assert machine.run("id", "-u").stdout == "0\n"
    assert machine.run_as_service("id", "-u").stdout == "0\n"


def test_nothing_of_the_hosts_can_be_changed(machine: Machine) -> None:
    answer = machine.run("sh", "-s", stdin=HOSTILE.encode())
    assert answer.stdout.endswith("done\n"), answer
    assert "WROTE" not in answer.stdout
    as_service = machine.run_as_service("sh", "-c", HOSTILE)
    assert as_service.stdout.endswith("done\n"), as_service
    assert "WROTE" not in as_service.stdout


def test_a_machine_of_trusted_tests_can(bookworm: Path) -> None:
    """Or the test above sees nothing."""
    with Machine(bookworm, own_users=False) as trusted:
        assert "WROTE /h/proc/sys/kernel/core_pattern" in trusted.run("sh", "-s", stdin=HOSTILE.encode()).stdout


def test_services_are_sandboxed_as_elsewhere(machine: Machine) -> None:
    wanted = (
        "PrivateUsers=yes",
        "ProtectProc=invisible",
        "ProtectSystem=strict",
        "PrivateDevices=yes",
        "PrivateTmp=yes",
    )
    words = [word for one in (*wanted, "ProtectKernelTunables=yes", "DynamicUser=yes") for word in ("-p", one)]
    script = "ls /proc; touch /usr/x || echo read-only; id -u; tail -n 1 /proc/self/uid_map"
    answer = machine.run("systemd-run", "-q", "--wait", "--pipe", *words, "sh", "-c", script)
    assert answer.status == 0, answer
    shown = answer.stdout.split()
    assert "1" not in shown[: shown.index("read-only")], "it sees PID 1"
    assert int(shown[shown.index("read-only") + 1]) > 60000


def test_files_go_in_and_out(machine: Machine, tmp_path: Path) -> None:
    machine.put("/var/tmp/deep/file", b"\0content", mode=0o640)
    shown = machine.run("stat", "-c", "%a %u %g", "/var/tmp/deep/file", "/var/tmp/deep").stdout
    assert shown == "640 0 0\n755 0 0\n"
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/run").write_text("#!/bin/sh\necho ran >/dev/stderr\n")
    (tmp_path / "tree/sub/run").chmod(0o755)
    machine.copy_in(tmp_path / "tree", "/root/tree")
    machine.copy_in(tmp_path / "tree/sub/run", "/root/bin/run")
    assert machine.run("/root/tree/sub/run").stderr == machine.run("/root/bin/run").stderr == "ran\n"
    assert machine.run("stat", "-c", "%u %g", "/root/tree/sub/run", "/root/bin/run").stdout == "0 0\n0 0\n"
    assert machine.run("chown", "-R", "games:games", "/root/tree").status == 0
    with pytest.raises(SmokeError, match="cannot copy"):
        machine.copy_in(tmp_path / "tree", "/root/tree")


def test_what_it_wrote_begins_the_next_one(bookworm: Path, tmp_path: Path) -> None:
    with Machine(bookworm, own_users=True) as first:
        first.run("sh", "-c", "echo 1 >/root/file; chown games /root/file; mv /etc/opt /etc/moved", check=True)
        first.stop()
        first.put("/root/put", b"while it was off")
        first.start()
        assert first.run("stat", "-c", "%U", "/root/file", "/root/put").stdout == "games\nroot\n"
        first.stop()
        state = first.snapshot(tmp_path / "state")
    with Machine(bookworm, own_users=True, state=state) as second:
        assert second.run("stat", "-c", "%U", "/root/file", "/root/put", "/etc/moved").stdout == "games\nroot\nroot\n"
        assert second.run("systemctl", "is-system-running").stdout == "running\n"


def test_without_a_namespace_it_has_fewer_rights_and_says_so(bookworm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "own_users", lambda: Users(why="this kernel has no user namespaces"))
    with Machine(bookworm, own_users=True) as machine:
        assert machine.users.why
        assert machine.run("systemctl", "is-system-running").stdout == "running\n"
        for answer in (machine.run("sh", "-s", stdin=HOSTILE.encode()), machine.run_as_service("sh", "-c", HOSTILE)):
            assert "done" in answer.stdout
            assert "WROTE /h/sys/block" not in answer.stdout
        rights = machine.run("grep", "CapBnd", "/proc/self/status", "/proc/1/status").stdout.split()
        for mask in rights[1::2]:
            assert (
                int(mask, 16) & (1 << 27 | 1 << 16 | 1 << 17 | 1 << 25 | 1 << 34) == 0
            )  # mknod, modules, raw I/O, time


def hostile_bundle(room: Path) -> Path:
    path = room / "evil-1-linux-64"
    path.mkdir()
    (path / "manifest.json").write_text(json.dumps(LEAST | {"name": "evil", "release": "1-abc"}))
    (path / "install.sh").write_text(HOSTILE)
    return path


def test_a_hostile_install_sh_in_smoke(tmp_path: Path) -> None:
    report = smoke(hostile_bundle(tmp_path), SmokeOptions(), QuietProgress())
    assert "done" in report.install.output
    assert "WROTE" not in report.install.output
    assert report.open_because == ""


def test_a_hostile_root_file_system(bookworm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its setuid programs are out of reach on the host, and its links lead nowhere else."""
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    tmp_path.parent.chmod(0o755)
    tmp_path.chmod(0o755)
    tar, outside = tmp_path / "root.tar", tmp_path / "outside"
    outside.mkdir()
    subprocess.run(["tar", "-cf", tar, "--exclude=./root", "-C", bookworm, "."], check=True)
    with tarfile.open(tar, "a") as archive:
        program = archive.gettarinfo("/bin/true", "usr/bin/evil")
        program.mode = 0o4755
        with Path("/bin/true").open("rb") as file:
            archive.addfile(program, file)
        disk = tarfile.TarInfo("disk")
        number = next(Path("/sys/block").iterdir()).joinpath("dev").read_text().strip().split(":")
        disk.type, disk.mode, disk.devmajor, disk.devminor = tarfile.BLKTYPE, 0o666, int(number[0]), int(number[1])
        archive.addfile(disk)
        link = tarfile.TarInfo("root")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
    root = rootfs(tar)
    assert (root / "usr/bin/evil").stat().st_mode & 0o7777 == 0o755
    assert root.is_relative_to(cache_dir("rootfs"))
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    # A shell between: setpriv looks a program up with rights that it has left.
    words = [*as_nobody, "sh", "-c", f"cat {root}/usr/bin/evil"]
    assert "Permission denied" in subprocess.run(words, check=False, capture_output=True, text=True).stderr
    with Machine(root, own_users=True) as machine:
        assert machine.run("stat", "-c", "%a %u", "/usr/bin/evil", "/usr/bin/su").stdout == "4755 0\n4755 0\n"
        assert "Permission denied" in machine.run("dd", "if=/disk", "of=/dev/null", "count=1").stderr
        machine.run("mkdir", "-p", str(outside), check=True)
        machine.put("/root/put", b"x")
        machine.copy_in(tar.parent / "outside", "/root/copied")
        assert machine.run("ls", str(outside)).stdout == "copied\nput\n"
    assert list(outside.iterdir()) == []

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import until

from bundler.errors import ConfigError, SmokeError
from bundler.machine import SUITES, Disk, Machine, enclosure, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

SYSTEMD = {"bookworm": 252, "bullseye": 247, "trixie": 257}


@pytest.fixture(scope="module")
def machine(bookworm: Path) -> Iterator[Machine]:
    """One for all tests that leave it as it was."""
    with Machine(bookworm) as running:
        yield running


def remains(name: str) -> list[str]:
    """What is left on this host of the machine ``name``: processes, mounts, groups, directories."""
    home = enclosure.RUNNING / name
    found = [str(home)] if home.exists() else []
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    # Other machines come and go meanwhile: os.walk passes over what is no longer there.
    found += [directory for directory, _, _ in os.walk("/sys/fs/cgroup") if Path(directory).name == name]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line, groups = ((process / file).read_text("utf-8", "replace") for file in ("cmdline", "cgroup"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        if line and name in line + groups:  # one that is dead has no command line, until its parent has taken note
            found.append(line + groups)
    return found


def nothing_remains(failed: SmokeError) -> bool:
    """Of the machine that did not come up."""
    word, name = str(failed.where).split()
    assert (word, name.rpartition("-")[0]) == ("machine", "conda-bundler")
    return remains(name) == []


def own_group() -> str:
    """The unified control group that we are in, as in /proc/PID/cgroup, with a slash at its end."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::")).rstrip("/") + "/"


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Each path below ``root``: what it is, whose, and where it leads or how much it holds."""
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content: object = status.st_rdev
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = status.st_size
        found[str(path.relative_to(root))] = (stat.filemode(status.st_mode), status.st_uid, status.st_gid, content)
    return found


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_boots(suite: str) -> None:
    root = rootfs(suite)
    began = time.monotonic()
    with Machine(root) as machine:
        assert time.monotonic() - began < 45  # 0.3 to 0.6 s where nothing else runs; a unit that is waited for takes 90
        assert machine.systemd_version == SYSTEMD[suite]
        assert machine.run("systemctl", "is-system-running").stdout == "running\n"
        assert machine.run("cat", "/proc/1/comm").stdout == "systemd\n"
        assert machine.run_as_service("true").status == 0
        machine.reboot()
        assert machine.run("systemctl", "is-system-running").stdout == "running\n"
        name = machine.name
    assert remains(name) == []
    assert (root / "etc/machine-id").read_bytes() == b""  # nothing of it was written to the cache


def test_only_loopback(machine: Machine) -> None:
    assert machine.run("ls", "/sys/class/net").stdout == "lo\n"
    routes = machine.run("cat", "/proc/net/route").stdout.splitlines()
    assert len(routes) == 1  # its heading
    assert machine.run("bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/80").status != 0
    assert machine.run("bash", "-c", "exec 3<>/dev/udp/127.0.0.1/9").status == 0


@pytest.mark.parametrize("program", ["python3", "python", "conda", "curl", "wget", "busybox"])
def test_a_bare_server(machine: Machine, program: str) -> None:
    assert machine.run(program, "--version").status == 127


def test_nothing_of_the_builder_is_in_it(machine: Machine) -> None:
    for path in ("/etc/resolv.conf", "/etc/apt/sources.list"):
        assert machine.run("test", "-e", path).status == 1
    assert machine.run("hostname").stdout == f"{machine.name}\n"
    assert len(machine.run("cat", "/etc/machine-id").stdout) == 33


def test_it_has_no_console_no_disks_and_no_updates_of_its_own(machine: Machine) -> None:
    for unit in ("console-getty.service", "apt-daily.timer"):
        assert machine.run("systemctl", "is-active", unit).stdout == "inactive\n"
    assert machine.run("ls", "/run/systemd/generator", "/run/systemd/generator.late").stdout.count("getty") == 0


def test_more_packages_are_added_and_nothing_else_changes(bookworm: Path) -> None:
    plain, more = listing(bookworm), listing(rootfs("bookworm", include=("busybox",)))
    added = [path for path in more.keys() - plain.keys() if "busybox" not in path]
    assert added == ["usr/share/initramfs-tools/conf-hooks.d"]
    assert {path for path, entry in plain.items() if more.get(path) != entry} == {
        "var/lib/dpkg/status",
        "var/lib/dpkg/status-old",
    }


@pytest.mark.parametrize("status", [0, 1, 3, 77, 255])
def test_exit_codes(machine: Machine, status: int) -> None:
    assert machine.run("sh", "-c", f"exit {status}").status == status
    assert machine.run_as_service("sh", "-c", f"exit {status}").status == status


def test_environment_is_clean(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_THE_HOST", "1")
    names = {line.split("=")[0] for line in machine.run("env", env={"GIVEN": "a b"}).stdout.splitlines()}
    assert names <= {"PATH", "LANG", "HOME", "GIVEN"}
    assert machine.run("sh", "-c", 'printf %s "$GIVEN"', env={"GIVEN": "a b"}).stdout == "a b"
    asked = machine.run_as_service("sh", "-c", 'printf %s "$GIVEN$FROM_THE_HOST"', env={"GIVEN": "a 'b"})
    assert asked.stdout == "a 'b"


def test_stdin_and_both_outputs(machine: Machine, tmp_path: Path) -> None:
    answer = machine.run("sh", "-c", "cat; echo no >&2", stdin=b"one\ntwo\n")
    assert (answer.stdout, answer.stderr) == ("one\ntwo\n", "no\n")
    (tmp_path / "file").write_text("from a file")
    with (tmp_path / "file").open("rb") as file:
        assert machine.run("cat", stdin=file).stdout == "from a file"
    assert machine.run("cat").stdout == ""


def test_check_and_timeout(machine: Machine) -> None:
    with pytest.raises(SmokeError, match="exited with 4") as caught:
        machine.run("sh", "-c", "echo sorry >&2; exit 4", check=True)
    assert "sorry" in caught.value.message
    assert machine.run("sleep", "30", timeout=0.2).status == 124


def test_a_service_has_a_control_group_of_its_own(machine: Machine) -> None:
    groups = machine.run_as_service("cat", "/proc/self/cgroup").stdout
    assert "0::/system.slice/run-" in groups


def test_files_go_in(machine: Machine, tmp_path: Path) -> None:
    machine.put("/var/tmp/deep/file", b"\0content", mode=0o640)
    shown = machine.run("stat", "-c", "%a %u %s", "/var/tmp/deep/file", "/var/tmp/deep").stdout.splitlines()
    assert shown[0] == "640 0 8"
    assert shown[1].startswith("755 0 ")
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/run").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "tree/sub/run").chmod(0o755)
    (tmp_path / "tree/link").symlink_to("/etc/os-release")
    machine.copy_in(tmp_path / "tree", "/root/tree")
    assert machine.run("/root/tree/sub/run").stdout == "ran\n"
    assert machine.run("readlink", "/root/tree/link").stdout == "/etc/os-release\n"
    with pytest.raises(SmokeError, match="cannot copy"):
        machine.copy_in(tmp_path / "missing", "/root/missing")


def test_files_can_be_read(machine: Machine) -> None:
    machine.put("/run/read", b"\0\1")
    assert machine.read("/run/read") == b"\0\1"
    assert machine.read("/run/missing") is None
    assert machine.read("/run") is None
    assert machine.read("/proc/1/comm") == b"systemd\n"  # what is mounted there, too


def test_a_link_inside_does_not_lead_into_the_host(machine: Machine) -> None:
    name = f"conda-bundler-test-{os.getpid()}"
    machine.put(f"/var/run/{name}", b"x")  # /var/run is a link to /run
    assert not Path("/run", name).exists()
    assert machine.run("cat", f"/run/{name}").stdout == "x"


def test_http_from_the_host_on_its_network(machine: Machine) -> None:
    code = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"
    assert machine.run_on_its_network(sys.executable, "-I", "-c", code).stdout == "['lo']\n"


def test_reboot_keeps_the_disk(bookworm: Path) -> None:
    with Machine(bookworm) as machine:
        machine.put("/root/kept", b"kept")
        machine.run("sh", "-c", "echo gone >/run/gone", check=True)
        before, identity = machine.leader, machine.run("cat", "/etc/machine-id").stdout
        machine.stop()
        assert (machine.root / "root/kept").read_text() == "kept"  # readable while it is off
        machine.put("/root/put", b"while it was off")
        with pytest.raises(SmokeError, match="not running"):
            machine.run("true")
        machine.start()
        assert machine.leader != before
        assert machine.run("cat", "/root/kept", "/root/put").stdout == "keptwhile it was off"
        assert machine.run("test", "-e", "/run/gone").status == 1
        assert machine.run("cat", "/etc/machine-id").stdout == identity


@pytest.mark.parametrize("verb", ["reboot", "poweroff"])
def test_it_goes_off_from_inside(bookworm: Path, verb: str) -> None:
    with Machine(bookworm) as machine:
        with pytest.raises(SmokeError, match="already running"):
            machine.start()
        machine.run("systemctl", verb)
        machine.wait_until_off()
        machine.put("/root/while-off", b"")
        machine.start()
        assert machine.run("test", "-e", "/root/while-off").status == 0


def test_kill_is_at_once_and_keeps_the_disk(bookworm: Path) -> None:
    with Machine(bookworm) as machine:
        machine.run("systemd-run", "--quiet", "--unit=late", "sh", "-c", "sleep 60; touch /root/late", check=True)
        machine.put("/root/kept", b"kept\n")
        leader = machine.leader
        machine.kill()
        assert not Path(f"/proc/{leader}").exists()
        machine.start()
        assert machine.run("cat", "/root/kept").stdout == "kept\n"
        assert machine.run("systemctl", "is-active", "late").stdout == "inactive\n"
        machine.kill()
        name = machine.name
    assert remains(name) == []


def test_two_at_once(bookworm: Path) -> None:
    service = ("systemd-run", "--quiet", "--unit=lasting", "sleep", "600")
    with Machine(bookworm) as one:
        one.run(*service, check=True)
        with Machine(bookworm) as two:
            for machine in (one, two):
                groups = Path(f"/proc/{machine.leader}/cgroup").read_text()
                assert f"0::/{machine.name}/" in groups.replace(own_group(), "/")
            assert one.run("cat", "/etc/machine-id").stdout != two.run("cat", "/etc/machine-id").stdout
            two.put("/root/two", b"")
            assert one.run("test", "-e", "/root/two").status == 1
            two.run(*service, check=True)
            two.run("systemctl", "stop", "lasting", check=True)  # kills by control group
            two.reboot()
            assert one.run("systemctl", "is-active", "lasting").stdout == "active\n"
        assert one.run("systemctl", "is-active", "lasting", "dbus").stdout == "active\nactive\n"


def test_it_outlives_the_thread_that_booted_it(bookworm: Path) -> None:
    machine = Machine(bookworm)
    thread = threading.Thread(target=machine.__enter__)
    thread.start()
    thread.join()
    try:
        time.sleep(0.5)
        assert machine.run("true").status == 0
    finally:
        machine.__exit__(None, None, None)


def test_a_state_to_begin_with(bookworm: Path, tmp_path: Path) -> None:
    with Machine(bookworm) as first:
        first.run("sh", "-c", "echo 1 >/root/file; rm /etc/debian_version", check=True)
        # rename(2) itself: mv would copy where a directory of the rootfs cannot be renamed
        first.run("perl", "-e", "rename '/etc/opt', '/etc/renamed' or die $!", check=True)
        first.stop()
        state = first.snapshot(tmp_path / "state")
    for _ in range(2):  # the first must not have changed it
        with Machine(bookworm, state=state) as second:
            assert second.run("cat", "/root/file").stdout == "1\n"
            assert second.run("test", "-e", "/etc/debian_version").status == 1
            assert second.run("test", "-d", "/etc/renamed").status == 0
            second.run("rm", "/root/file", check=True)


def test_nothing_depends_on_our_umask(bookworm: Path) -> None:
    before = os.umask(0o077)
    try:
        with Machine(bookworm) as machine:
            machine.put("/var/tmp/new/file", b"")
            machine.run("touch", "/var/tmp/touched", check=True)
            modes = machine.run("stat", "-c", "%a", "/", "/var/tmp/new", "/var/tmp/touched").stdout
            assert modes == "755\n755\n644\n"
    finally:
        os.umask(before)


def test_a_small_disk_gets_full(bookworm: Path) -> None:
    with Machine(bookworm, disk=Disk(size="8m")) as machine:
        answer = machine.run("dd", "if=/dev/zero", "of=/root/big", "bs=1M", "count=20")
        assert "No space left on device" in answer.stderr


@pytest.fixture
def filesystem(tmp_path: Path) -> Iterator[Path]:
    """A directory on a filesystem that nobody else writes to."""
    (room := tmp_path / "filesystem").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4G", "conda-bundler-test", room], check=True)
    try:
        yield room
    finally:
        subprocess.run(["umount", "--lazy", room], check=True)


def test_a_large_disk_is_a_file_that_nobody_finds(bookworm: Path, filesystem: Path) -> None:
    with Machine(bookworm, disk=Disk(size="3G", directory=filesystem)) as machine:
        before = os.statvfs(filesystem).f_bfree
        machine.run("dd", "if=/dev/urandom", "of=/root/big", "bs=1M", "count=64", "conv=fsync", check=True)
        assert before - os.statvfs(filesystem).f_bfree > 8000  # blocks of 4 KiB: it takes room there, nowhere else
        assert list(filesystem.iterdir()) == []
        machine.reboot()
        assert machine.run("stat", "-c", "%s", "/root/big").stdout.strip() == str(64 << 20)
    assert list(filesystem.iterdir()) == []


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left_after_an_exception(bookworm: Path, error: type[BaseException]) -> None:
    names = []

    def fail() -> None:
        with Machine(bookworm) as machine:
            names.append(machine.name)
            assert remains(machine.name) != []  # or this test sees nothing at all
            raise error

    with pytest.raises(error):
        fail()
    assert remains(names[0]) == []


def test_a_killed_owner_leaves_no_process_and_the_next_start_clears_the_rest(
    bookworm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = tmp_path / "running"  # or a machine of somebody else's would clear it
    monkeypatch.setattr(enclosure, "RUNNING", running)
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from bundler.machine import Machine, enclosure
        enclosure.RUNNING = Path(sys.argv[2])
        with Machine(Path(sys.argv[1])) as machine:
            print(machine.name, machine.leader, flush=True)
            time.sleep(600)
    """)
    words = [sys.executable, "-c", script, str(bookworm), str(running)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        name, leader = owner.stdout.readline().split()
        assert Path(f"/proc/{leader}").exists()
        owner.send_signal(signal.SIGKILL)
    assert until(lambda: not Path(f"/proc/{leader}").exists(), 10)
    assert until(lambda: not any("\0" in trace for trace in remains(name)), 10)  # a command line has NULs
    assert (running / name).exists()
    with Machine(bookworm):
        assert remains(name) == []


def test_a_machine_that_is_off_is_no_leftover(bookworm: Path) -> None:
    with Machine(bookworm) as one:
        one.stop()
        with Machine(bookworm) as two:
            assert {path.name for path in enclosure.RUNNING.iterdir()} >= {one.name, two.name}
        one.start()
        assert one.run("true").status == 0


def test_a_system_that_does_not_come_up(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "usr/lib/systemd").mkdir(parents=True)
    (broken / "usr/lib/systemd/systemd").write_text("no program")
    (broken / "etc").mkdir()
    (broken / "etc/os-release").write_text("ID=broken\n")
    with pytest.raises(SmokeError, match="exited before the machine was up") as caught, Machine(rootfs(broken)):
        pass
    assert "Last lines of its console" in caught.value.format_message()
    assert nothing_remains(caught.value)


def test_a_boot_that_takes_too_long(bookworm: Path) -> None:
    late = pytest.raises(SmokeError, match=r"did not boot within 0\.01 s")
    with late as caught, Machine(bookworm, boot_timeout=0.01):
        pass
    assert nothing_remains(caught.value)


def test_a_tarball_as_root_file_system(bookworm: Path, tmp_path: Path) -> None:
    tar = tmp_path / "root.tar"
    subprocess.run(["tar", "-cf", tar, "-C", bookworm, "."], check=True)
    root = rootfs(tar)
    assert rootfs(tar) == root
    with Machine(root) as machine:
        assert machine.systemd_version == 252
    (tmp_path / "bad.tar").write_text("no tar")
    with pytest.raises(ConfigError, match="tar cannot unpack"):
        rootfs(tmp_path / "bad.tar")


def test_no_way_to_the_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(SmokeError, match="mmdebstrap could not make it") as caught:
        rootfs("bookworm")
    assert "--rootfs" in str(caught.value.remedy)
    assert [path.name for path in (tmp_path / "rootfs").iterdir() if path.is_dir()] == []

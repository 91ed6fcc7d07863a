from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bundler.errors import ConfigError, MissingToolError, SmokeError
from bundler.machine import rootfs, users
from bundler.machine.cgroups import make, parse_hierarchies, remove
from bundler.machine.inside import read_inside, resolve_inside, write_inside
from bundler.machine.rootfs import cache_key
from bundler.machine.users import Users, own_users, parse_ranges

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_hybrid_hierarchies() -> None:
    assert parse_hierarchies(HYBRID, "9:name=systemd:/a\n1:cpu:/b\n0::/c/d\n") == (
        Path("/sys/fs/cgroup/systemd/a"),
        Path("/sys/fs/cgroup/unified/c/d"),
    )


def test_unified_hierarchy_alone() -> None:
    mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    assert parse_hierarchies(mounts, "0::/user.slice/user-0.slice\n") == (
        Path("/sys/fs/cgroup/user.slice/user-0.slice"),
    )


def test_a_container_sees_a_part_of_the_hierarchy() -> None:
    mounts = "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
    assert parse_hierarchies(mounts, "0::/docker/abc/inner\n") == (Path("/sys/fs/cgroup/inner"),)
    assert parse_hierarchies(mounts, "0::/docker/abcd\n") == (Path("/sys/fs/cgroup"),)
    assert parse_hierarchies(mounts, "0::/\n") == (Path("/sys/fs/cgroup"),)


def test_no_hierarchy() -> None:
    assert parse_hierarchies("31 23 0:28 / / rw - ext4 /dev/vda rw\n", "") == ()


def test_groups_are_made_and_removed_with_what_is_below(tmp_path: Path) -> None:
    group = tmp_path / "one"
    make([group])
    (group / "payload/init.scope").mkdir(parents=True)
    assert remove([group, tmp_path / "never-made"])
    assert not group.exists()


def test_a_busy_group_stays(tmp_path: Path) -> None:
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy/file").touch()
    assert not remove([tmp_path / "busy"], patience=0.05)


def test_a_hierarchy_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="cannot make the control group") as caught:
        make([tmp_path / "missing/one"])
    assert caught.value.remedy is not None


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/etc/hello.env", "etc/hello.env"),
        ("etc/../etc/x", "etc/x"),
        ("/../../etc/x", "etc/x"),
        ("/absolute/x", "run/x"),
        ("/etc/relative/x", "run/x"),
        ("/up/x", "x"),
        ("/chain/x", "run/x"),
        ("/etc/last", "run/file"),
    ],
)
def test_links_are_followed_as_from_inside(tmp_path: Path, target: str, found: str) -> None:
    for name in ("etc", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "absolute").symlink_to("/run")
    (tmp_path / "etc/relative").symlink_to("../run")
    (tmp_path / "up").symlink_to("../../..")
    (tmp_path / "chain").symlink_to("/etc/relative")
    (tmp_path / "etc/last").symlink_to("/run/file")
    assert resolve_inside(tmp_path, target) == tmp_path / found
    write_inside(tmp_path, target, b"there", mode=0o640, owner=os.geteuid())
    assert (tmp_path / found).read_bytes() == b"there"
    assert stat.S_IMODE((tmp_path / found).lstat().st_mode) == 0o640
    assert read_inside(tmp_path, target) == b"there"


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SmokeError, match="too many levels"):
        resolve_inside(tmp_path, "/a/x")
    with pytest.raises(SmokeError, match="too many levels"):
        write_inside(tmp_path, "/a/x", b"", mode=0o600, owner=os.geteuid())


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_inside(tmp_path, "/pipe") is None
    assert read_inside(tmp_path, "/") is None


def test_a_file_that_has_no_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SmokeError, match="larger than 64 MiB"):
        read_inside(tmp_path, "/endless")


def test_a_link_in_place_of_a_directory_is_not_written_through(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "etc").symlink_to(outside)
    with pytest.raises(SmokeError, match="cannot write /etc/new/file"):
        write_inside(root, "/etc/new/file", b"", mode=0o600, owner=os.geteuid())
    assert list(outside.iterdir()) == []


def test_ids_that_others_have() -> None:
    assert parse_ranges("         0          0 4294967295\n", " ") == (range(4294967295),)
    assert parse_ranges("         0     100000 10\n        20 5 1\n", " ") == (range(10), range(20, 21))
    assert parse_ranges("a:100000:65536\n#b:1:2:\nbad\n1000:165536:65536\n", ":") == (
        range(100000, 165536),
        range(165536, 231072),
    )


def test_a_machine_has_ids_of_the_containers_range_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = (range(0x0008_0000, 0x7000_0000 - (1 << 16)),)  # all but the last 65,536
    monkeypatch.setattr(users, "_LAST", 0x7000_0000)
    monkeypatch.setattr(users, "_TRIES", 1 << 20)
    monkeypatch.setattr(users, "parse_ranges", lambda _text, mark: (range(1 << 32),) if mark == " " else taken)
    assert own_users() == Users(base=0x7000_0000 - (1 << 16))


def test_too_few_ids_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "parse_ranges", lambda _text, mark: (range(65536),) if mark == " " else ())
    found = own_users()
    assert found == Users(why="this container has too few user IDs for a machine")
    assert "CAP_MKNOD" in found.nspawn()[0]


def test_another_content_has_another_key() -> None:
    keys = {
        cache_key("bookworm", ("dbus", "systemd")),
        cache_key("bullseye", ("dbus", "systemd")),
        cache_key("bookworm", ("busybox", "dbus", "systemd")),
    }
    assert len(keys) == 3
    assert cache_key("bookworm", ("dbus",)) == cache_key("bookworm", ("dbus",))
    assert cache_key("trixie", ()).startswith("trixie-")


def test_only_root_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingToolError, match="only by root") as caught:
        rootfs("bookworm")
    assert caught.value.exit_code == 9


@pytest.mark.parametrize("source", ["sid", "../bookworm", ""])
def test_unknown_suite(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(ConfigError, match="no such suite"):
        rootfs(source)


def test_what_is_no_root_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(ConfigError, match="cannot be booted"):
        rootfs(tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        rootfs(tmp_path / "missing")


@pytest.mark.parametrize("name", ["nginx,curl", "--simulate", "Nginx", "nginx=1.2", "./local.deb", "n", ""])
def test_only_names_of_packages_are_included(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(ConfigError, match="is not the name of a Debian package"):
        rootfs("bookworm", include=("nginx-light", name))


def test_nothing_is_installed_on_a_given_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(ConfigError, match="--include and --rootfs are mutually exclusive"):
        rootfs(tmp_path, include=("nginx",))


def test_included_packages_make_another_image() -> None:
    assert len({cache_key("bookworm", packages) for packages in ((), ("nginx",), ("nginx", "redis"))}) == 3

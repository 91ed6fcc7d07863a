"""Payloads on real machines: at another root, without Python, with other codecs, with bytecode made there."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from differential import conda_packs, contents, differences

from bundler.lockfiles.condalock import read_lock
from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

SHELL = """
[bundle]
name = "shell"
version = "1.0"
bytecode = "none"
[files]
"loop" = "loop"
"data" = "data"
[services.shell]
command = ["loop"]
profile = "generic"
"""
UNUSUAL = (
    "new\nline",
    "back\\slash",
    "return\r",
    " blanks ",
    "l -> m",
    "caf\u00e9",
    "latin \udce9",
    "esc\x1b[31m",
    "-x",
    "[*]",
)


def write_unusual(directory: Path) -> None:
    """Files and links whose names tools write each in a way of its own."""
    directory.mkdir()
    for name in UNUSUAL:
        (directory / name).write_text(name, "utf-8", "surrogateescape")
        (directory / f"link {name}").symlink_to(name)


def release(bundle: Path, root: str) -> str:
    return f"{root}/releases/{json.loads((bundle / 'manifest.json').read_text())['release']}"


def oracle(bundle: Path, room: Path, prefix: str) -> dict[str, tuple[bytes, int]]:
    """What conda-pack would have left at ``prefix`` for the bundle's lockfile."""
    room.mkdir()
    return contents(conda_packs(read_lock(bundle / "conda-lock.yml", "linux-64"), room, prefix))


def installed(machine: Machine, prefix: str) -> dict[str, tuple[bytes, int]]:
    """The tree there, without the bytecode that the bundle adds to what the packages ship."""
    return contents(machine.root / prefix.lstrip("/"))


@pytest.fixture(scope="module")
def shell(local_channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without Python: the C program alone."""
    project = tmp_path_factory.mktemp("shell")
    (project / "environment.yml").write_text("channels: [x]\ndependencies: [greeting, archinfo]\n")
    (project / "bundle.toml").write_text(SHELL)
    (project / "loop").write_text("#!/bin/sh\ngreeting\nwhile :; do sleep 1; done\n")
    (project / "loop").chmod(0o755)
    write_unusual(project / "data")
    return build(project, local_channel, project / "dist")


@pytest.fixture(scope="module")
def plain(local_channel: Path, tmp_path_factory: pytest.TempPathFactory, hello: Path) -> Path:
    """hello without bytecode of its own, so that its tree can be compared, and in two parts: Python, and many files."""
    project = tmp_path_factory.mktemp("plain")
    shutil.copytree(hello.parent.parent, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("dist"))
    text = (project / "bundle.toml").read_text()
    text = text.replace("[bundle]", '[bundle]\nbytecode = "none"').replace(
        "[files]", '[files]\n"many" = "many"\n"data" = "data"'
    )
    (project / "bundle.toml").write_text(text)
    write_unusual(project / "data")
    (project / "many").mkdir()
    for number in range(750):
        (project / "many" / f"{number}").write_text(f"{number}\n")
    bundle = build(project, local_channel, project / "dist")
    assert len(json.loads((bundle / "manifest.json").read_text())["payload"]["parts"]) == 2
    return bundle


@pytest.mark.parametrize("root", ["/opt/hello", "/h", "/srv/a-much-longer/path/than/opt+has/it/hello_1.2"])
def test_the_installed_tree_is_conda_packs(plain: Path, bookworm: Path, tmp_path: Path, root: str) -> None:
    with Machine(bookworm) as machine:
        machine.copy_in(plain, "/root/bundle")
        done = machine.run("sh", "/root/bundle/install.sh", "--prefix", root)
        assert done.status == 0, done.stderr
        prefix = f"{release(plain, root)}/env"
        tree = installed(machine, prefix)
        # What carries the prefix is compiled on the target in any case, unless bytecode is "none".
        assert differences(tree, oracle(plain, tmp_path / "oracle", prefix)) == set()
        assert len(list((machine.root / release(plain, root).lstrip("/") / "app" / "many").iterdir())) == 750
        assert [path.name for path in (machine.root / root.lstrip("/") / "releases").iterdir()] == [
            release(plain, "x").rpartition("/")[2]
        ]
        assert machine.run(f"{root}/manage", "verify").status == 0
        assert machine.run("systemctl", "start", "hello-health").status == 0
        pid = machine.run("systemctl", "show", "--value", "--property=MainPID", "hello").stdout.strip()
        assert machine.run("readlink", f"/proc/{pid}/exe").stdout.startswith(f"{prefix}/bin/python3")
        assert machine.run(f"{prefix}/bin/greeting").stdout.strip()
        assert machine.run("systemd-analyze", "verify", "hello.service").stderr == ""
        again = machine.run("sh", "/root/bundle/install.sh")
        assert "is already installed" in again.stderr
        assert machine.run("systemctl", "show", "--value", "--property=MainPID", "hello").stdout.strip() == pid
        machine.run("sh", "-c", f"echo x >>'{release(plain, root)}/app/data/new\nline'", check=True)
        damaged = machine.run(f"{root}/manage", "verify")
        assert (damaged.status, damaged.stdout) == (11, "changed app/data/new\\0012line\n")


@pytest.mark.parametrize("root", ["/opt/shell", "/s", "/var/opt/some/where/else/shell"])
def test_an_environment_without_python_under_busybox(shell: Path, tmp_path: Path, root: str) -> None:
    """busybox is the shell and every tool that it has."""
    with Machine(rootfs("bookworm", include=("busybox-static",))) as machine:
        machine.run("sh", "-c", "for tool in $(busybox --list); do ln -s /bin/busybox /usr/local/sbin/$tool; done")
        machine.run("rm", "-f", "/usr/local/sbin/init", "/usr/local/sbin/reboot", "/usr/local/sbin/poweroff")
        machine.copy_in(shell, "/root/bundle")
        done = machine.run("busybox", "sh", "/root/bundle/install.sh", "--prefix", root)
        assert done.status == 0, done.stderr
        prefix = f"{release(shell, root)}/env"
        assert differences(installed(machine, prefix), oracle(shell, tmp_path / "oracle", prefix)) == set()
        assert machine.run(f"{prefix}/bin/greeting").stdout.strip()
        assert machine.run("busybox", "sh", f"{root}/manage", "verify").status == 0
        machine.run("busybox", "sh", "-c", f"rm '{release(shell, root)}/app/data/caf\u00e9'", check=True)
        damaged = machine.run("busybox", "sh", f"{root}/manage", "verify")
        assert (damaged.status, damaged.stdout) == (11, "missing app/data/caf\u00e9\n")


def test_roots_that_are_refused_change_nothing(plain: Path, bookworm: Path) -> None:
    too_long = "/" + "x" * 240
    with Machine(bookworm) as machine:
        machine.copy_in(plain, "/root/bundle")
        listing = ("find", "/opt", "/usr", "/var/lib", "/etc", "/srv", "-printf", "%p %m\n")
        before = machine.run(*listing).stdout
        for root, status in {
            "/opt": 10,
            "/usr": 10,
            "/": 2,
            "relative": 2,
            "/a b": 2,
            "/a/../b": 2,
            too_long: 10,
        }.items():
            done = machine.run("sh", "/root/bundle/install.sh", "--prefix", root)
            assert done.status == status, (root, done.stderr)
        assert machine.run(*listing).stdout == before
        assert machine.run("sh", "/root/bundle/install.sh").status == 0
        moved = machine.run("sh", "/root/bundle/install.sh", "--prefix", "/srv/hello")
        assert moved.status == 10
        assert "is installed in /opt/hello" in moved.stderr


def test_bytecode_made_on_the_target(hello: Path, local_channel: Path, bookworm: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(hello.parent.parent, project, ignore=shutil.ignore_patterns("dist"))
    text = (project / "bundle.toml").read_text()
    (project / "bundle.toml").write_text(text.replace("[bundle]", '[bundle]\nbytecode = "install"'))
    bundle = build(project, local_channel, project / "dist")
    with Machine(bookworm) as machine:
        machine.copy_in(bundle, "/root/bundle")
        assert machine.run("sh", "/root/bundle/install.sh").status == 0
        tree = f"{release(bundle, '/opt/hello')}"
        for package in ("env/lib/python3.*/site-packages/uvicorn", "app/hello"):
            count = machine.run("sh", "-c", f"ls {tree}/{package}/__pycache__/*.pyc | wc -l")
            assert int(count.stdout) >= 2, count


@pytest.mark.parametrize("codec", ["gzip", "xz"])
def test_other_codecs(hello: Path, local_channel: Path, bookworm: Path, tmp_path: Path, codec: str) -> None:
    project = tmp_path / "project"
    shutil.copytree(hello.parent.parent, project, ignore=shutil.ignore_patterns("dist"))
    bundle = build(project, local_channel, project / "dist", "--compression", codec)
    trees = [json.loads((path / "manifest.json").read_text())["tree_digest"] for path in (bundle, hello)]
    assert trees[0] == trees[1]
    if codec == "xz":
        with Machine(bookworm) as machine:
            machine.copy_in(bundle, "/root/bundle")
            refused = machine.run("sh", "/root/bundle/install.sh")
            assert refused.status == 10
            assert codec in refused.stderr
    with Machine(rootfs("bookworm", include=("xz-utils",)) if codec == "xz" else bookworm) as machine:
        machine.copy_in(bundle, "/root/bundle")
        done = machine.run("sh", "/root/bundle/install.sh")
        assert done.status == 0, done.stderr

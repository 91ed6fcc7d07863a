"""A zstd bundle on a server that has no zstd: from wherever it lies, in every form, and not if it is damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from installkit import PROGRAM, damaged

from bundler.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

STICK = "mkdir -p /mnt/stick; mount -t tmpfs -o noexec,mode=777 none /mnt/stick; cp -r /root/bundle /mnt/stick/"


@pytest.fixture(scope="module")
def machine(bookworm: Path, hello: Path) -> Iterator[Machine]:
    assert json.loads((hello / "manifest.json").read_text())["payload"]["codec"] == "zstd"
    with Machine(bookworm) as machine:
        assert machine.run("sh", "-c", "command -v zstd").status != 0
        machine.copy_in(hello, "/root/bundle")
        yield machine


def test_a_damaged_one_is_refused_before_it_is_run(machine: Machine, hello: Path, tmp_path: Path) -> None:
    content = (hello / PROGRAM).read_bytes()
    position = len(content) // 2
    bad = damaged(hello, tmp_path / "bad", PROGRAM, position=position, value=content[position] ^ 1)
    machine.copy_in(bad, "/root/bad")
    for option in ("--check", "--dry-run", "--no-start"):
        done = machine.run("sh", "/root/bad/install.sh", option)
        assert done.status == 11, done.stderr
        assert f"{PROGRAM} does not match its checksum" in done.stderr
    assert machine.run("sh", "-c", "ls -d /opt/hello /etc/hello /var/lib/conda-bundler 2>/dev/null").stdout == ""


def test_it_installs_from_a_stick_that_runs_no_programs(machine: Machine) -> None:
    machine.run("sh", "-c", STICK, check=True)
    for option in ("--check", "--dry-run"):
        done = machine.run("sh", "/mnt/stick/bundle/install.sh", option)
        assert done.status == 0, done.stderr
    assert machine.run("test", "-e", "/opt/hello").status == 1
    done = machine.run("sh", "/mnt/stick/bundle/install.sh", env={"LD_LIBRARY_PATH": "/nowhere", "ZSTD_CLEVEL": "x"})
    assert done.status == 0, done.stderr
    assert machine.run("systemctl", "is-active", "hello.service").stdout == "active\n"
    assert machine.run("/opt/hello/manage", "verify").status == 0
    assert machine.run("ls", "-A", "/opt/hello/releases").stdout.count("\n") == 1  # nothing of it stays
    again = machine.run("sh", "/mnt/stick/bundle/install.sh")
    assert "is already installed" in again.stderr


def test_a_smoke_of_one_file(hello: Path, local_channel: Path, tmp_path: Path) -> None:
    """What failed on a minimal Debian; as a .run, so that what is brought comes out of a tar."""
    path = build(hello.parent.parent, local_channel, tmp_path, "--format", "run")
    words = [sys.executable, "-m", "bundler", "smoke", str(path), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["healthy"] is True

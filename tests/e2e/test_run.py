"""A bundle in one file on a real machine: install, again, upgrade; and a damaged one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from installkit import Member, Spec, but, write_run

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = pytest.mark.e2e

BIG = Spec(members=(Member(name="app/big", content=os.urandom(2_000_000)),))


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        yield machine


def install(machine: Machine, file: Path, *options: str, shell: str = "sh") -> Answer:
    goal = f"/root/{file.name}"
    machine.run("rm", "-f", goal, check=True)
    machine.copy_in(file, goal)
    answer = machine.run(*shell.split(), goal, *options)
    assert machine.run("sh", "-c", "ls -A /tmp | grep hello").stdout == ""
    return answer


@pytest.mark.parametrize("shell", ["bash", "busybox sh", *everywhere("dash")])
def test_install_again_and_upgrade(machine: Machine, tmp_path: Path, shell: str) -> None:
    first = write_run(BIG, tmp_path / "first")
    second = write_run(but(BIG, version="2.0"), tmp_path / "second")
    for options in (("--check",), ("--dry-run",)):
        assert install(machine, first, *options, shell=shell).status == 0
        assert machine.run("test", "-e", "/opt/hello").status == 1
    done = install(machine, first, shell=shell)
    assert done.status == 0, done.stderr
    assert machine.run("systemctl", "is-active", "hello.service").stdout == "active\n"
    assert machine.run("stat", "-c", "%s", "/opt/hello/current/app/big").stdout == "2000000\n"
    again = install(machine, first, shell=shell)
    assert (again.status, "nothing changed" in again.stderr) == (0, True), again.stderr
    upgrade = install(machine, second, shell=shell)
    assert upgrade.status == 0, upgrade.stderr
    assert machine.run("readlink", "/opt/hello/current").stdout.startswith("releases/2.0-")


def test_a_changed_payload_is_refused_and_nothing_of_it_stays(machine: Machine, tmp_path: Path) -> None:
    good = write_run(BIG, tmp_path / "good")
    content = bytearray(good.read_bytes())
    content[-1_000_000] ^= 1
    bad = tmp_path / "bad.run"
    bad.write_bytes(content)
    for options in (("--check",), ()):
        done = install(machine, bad, *options)
        assert done.status == 11, done.stderr
        assert "payload.tar.gz does not match its checksum" in done.stderr
    gone = machine.run("sh", "-c", "ls -d /opt/hello /etc/hello /var/lib/conda-bundler 2>/dev/null")
    assert gone.stdout == ""

"""A library that the bundle does not bring: a minimal Debian without it is refused, one that has it is not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest
from installkit import NEEDS, Spec
from targetkit import Target

from bundler.machine import Machine
from bundler.units.libraries import HostLibrary, LibraryUser

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

REFUSED = """\
install.sh: error: this machine lacks libraries that the bundle needs:
    libfield.so.1: needed by opencv-python (env/lib/cv2.so) and 1 more
  Debian, Ubuntu: apt-get install libfield1
  RHEL, Fedora: dnf install field-libs
"""


def needing(need: Literal["required", "optional"]) -> Spec:
    user = LibraryUser(package="opencv-python", path="env/lib/cv2.so", files=2)
    field = HostLibrary(soname="libfield.so.1", need=need, needed_by=(user,), debian="libfield1", rpm="field-libs")
    there = HostLibrary(soname="libsystemd.so.0", need="required", needed_by=(user,))
    return Spec(needs=replace(NEEDS, libraries=(field, there)))


def test_refused_until_it_is_there(bookworm: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.c").write_text("")
    subprocess.run(["cc", "-shared", "-nostdlib", "empty.c", "-o", "made.so"], cwd=tmp_path, check=True)
    required, optional = needing("required"), needing("optional")
    with Machine(bookworm) as machine:
        target = Target(machine, tmp_path)
        for option in ("--check", "--dry-run", "--no-start", "--no-systemd"):
            answer = target.install(required, option)
            assert (answer.status, REFUSED in answer.stderr) == (10, True), answer.stderr
        assert target.sh("ls /opt") == ""

        tried = target.install(optional)
        assert tried.status == 0, tried.stderr
        assert "warning: this machine lacks optional libraries of the bundle: libfield.so.1\n" in tried.stderr

        machine.put("/usr/local/lib/libfield.so.1", (tmp_path / "made.so").read_bytes())
        assert target.install(required).status == 10, "the loader has not been told of it"
        target.sh("ldconfig")
        accepted = target.install(required)
        assert accepted.status == 0, accepted.stderr
        assert "libfield" not in accepted.stderr

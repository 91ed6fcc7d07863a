"""The device files of NVIDIA's driver, made from what the driver says in /proc, under every shell."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS

from bundler.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="devices need root"),
    pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS),
]

DEVICES = "Character devices:\n  1 mem\n195 {frontend}\n235 nvidia-caps\n511 nvidia-uvm\n\nBlock devices:\n 99 nvidia\n"
PARAMS = "EnableMSI: 1\nModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\n"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A machine with two GPUs, the second of which is cut in parts."""
    driver = tmp_path / "proc/driver/nvidia"
    for bus, minor in (("0000:01:00.0", 0), ("0000:02:00.0", 3)):
        (driver / "gpus" / bus).mkdir(parents=True)
        (driver / "gpus" / bus / "information").write_text(f"Model: \t\t A100\nDevice Minor: \t {minor}\n")
    (driver / "capabilities/gpu0/mig/gi1").mkdir(parents=True)
    access = "DeviceFileMinor: 12\nDeviceFileMode: 292\nDeviceFileModify: 1\n"
    (driver / "capabilities/gpu0/mig/gi1/access").write_text(access)
    (driver / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n")
    (driver / "params").write_text(PARAMS)
    (tmp_path / "proc/devices").write_text(DEVICES.format(frontend="nvidia-frontend"))
    for name in ("dev", "bin"):
        (tmp_path / name).mkdir()
    program(tmp_path, "modprobe", 'echo "$1" >>"$ROOM/loaded"')
    return tmp_path


def program(room: Path, name: str, text: str) -> None:
    path = room / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(shell: tuple[str, ...], room: Path) -> subprocess.CompletedProcess[str]:
    text = (templates_dir() / "share/gpu.sh").read_text()
    for name, value in (("PROC", room / "proc"), ("DEV", room / "dev")):
        assert f"\n{name}=/{name.lower()}\n" in text
        text = text.replace(f"\n{name}=/{name.lower()}\n", f"\n{name}={value}\n")
    text = text.replace("\nPATH=", f"\nPATH={room}/bin:")
    # busybox has a modprobe of its own, which goes before PATH
    text = text.replace("\nset -eu\n", f'\nset -eu\nmodprobe() {{ "{room}/bin/modprobe" "$@"; }}\n', 1)
    return subprocess.run(
        [*shell, "-c", text], env=os.environ | {"ROOM": str(room)}, capture_output=True, text=True, check=False
    )


def made(room: Path) -> dict[str, str]:
    """``MODE MAJOR:MINOR`` of each device."""
    found = {}
    for path in sorted((room / "dev").rglob("*")):
        status = path.stat()
        if stat.S_ISCHR(status.st_mode):
            number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
            found[str(path.relative_to(room / "dev"))] = f"{stat.S_IMODE(status.st_mode):o} {number}"
    return found


ALL = {
    "nvidia-caps/nvidia-cap12": "444 235:12",
    "nvidia-uvm": "666 511:0",
    "nvidia-uvm-tools": "666 511:1",
    "nvidia0": "666 195:0",
    "nvidia3": "666 195:3",
    "nvidiactl": "666 195:255",
}


def test_all_device_files_are_made_as_the_driver_says(room: Path, shell: tuple[str, ...]) -> None:
    done = run(shell, room)
    assert (done.returncode, done.stderr) == (0, "")
    assert made(room) == ALL
    assert (room / "loaded").read_text().split() == ["nvidia", "nvidia-uvm"]
    assert run(shell, room).returncode == 0, "what is there stays"
    assert made(room) == ALL


def test_a_newer_drivers_name_and_a_mode_of_the_administrators(room: Path, shell: tuple[str, ...]) -> None:
    (room / "proc/devices").write_text(DEVICES.format(frontend="nvidia"))
    (room / "proc/driver/nvidia/params").write_text(PARAMS.replace("438", "432"))
    assert run(shell, room).returncode == 0
    assert made(room)["nvidia0"] == "660 195:0"


def test_device_files_that_are_the_administrators_affair_are_left_alone(room: Path, shell: tuple[str, ...]) -> None:
    (room / "proc/driver/nvidia/params").write_text(PARAMS.replace("Files: 1", "Files: 0"))
    assert run(shell, room).returncode == 0
    assert made(room) == {}


def test_nvidias_own_program_goes_first(room: Path, shell: tuple[str, ...]) -> None:
    program(room, "nvidia-modprobe", 'echo "$*" >>"$ROOM/asked"; mknod -m 600 "$ROOM/dev/nvidia0" c 195 0')
    assert run(shell, room).returncode == 0
    assert (room / "asked").read_text().splitlines()[0] == "-c 0 -u"
    assert made(room) == ALL | {"nvidia0": "600 195:0"}


def test_without_a_driver_it_says_so(room: Path, shell: tuple[str, ...]) -> None:
    (room / "proc/driver/nvidia/version").unlink()
    done = run(shell, room)
    assert (done.returncode, done.stderr) == (1, "NVIDIA's driver is not loaded: modprobe nvidia tells why\n")
    assert made(room) == {}

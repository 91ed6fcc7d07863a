"""What preflight asks of the machine itself, under every shell, with files laid over /proc."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

from bundler.platforms import LEVELS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

NOTHING = {
    "MACHINE": "x86_64", "MACHINES": "x86_64", "PLATFORM": "linux-64", "IMAGE": "", "GLIBC": "", "KERNEL": "",
    "CPU": "", "CPU_FEATURES": "", "CUDA": "", "CUDA_DRIVER": "0", "CUDA_ARCH": "", "GPU": "",
}  # fmt: skip
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (dvs@U16)  Fri Aug 16 2024\n"
TEGRA = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  36.4.3  Release Build  (buildbrain@x)\n"
SMI = "| NVIDIA-SMI 540.4.0                Driver Version: 540.4.0      CUDA Version: 12.6     |\n"


class Here:
    """A machine that is what a test says."""

    def __init__(self, room: Path) -> None:
        self.room = room
        self.uname = "echo x86_64"
        for name in ("bin", "nvidia"):
            (room / name).mkdir()

    def program(self, name: str, text: str) -> None:
        path = self.room / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def driver(self, version: str) -> None:
        (self.room / "nvidia" / "version").write_text(version)

    def check(self, shell: tuple[str, ...], **header: str) -> str:
        """What is said, ending in the number of problems."""
        values = "".join(f"{key}='{value}'\n" for key, value in (NOTHING | header).items())
        path = self.room / "script"
        # a function, for busybox goes before PATH
        uname = f"uname() {{ {self.uname}; }}\n"
        path.write_text(with_functions(f"PROGRAM=install.sh\n{values}{uname}check_hardware\necho $PROBLEMS >&2\n"))
        # nobody else can reach the test's own directory
        mounts = "mount -t tmpfs none /proc/driver && cp -r bin nvidia /proc/driver && "
        if (self.room / "cpuinfo").exists():
            mounts += "mount --bind cpuinfo /proc/cpuinfo && "
        words = [
            "unshare",
            "-m",
            "sh",
            "-c",
            f'{mounts} PATH=/proc/driver/bin:$PATH && exec "$@"',
            "sh",
            *shell,
            str(path),
        ]
        done = subprocess.run(words, cwd=self.room, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_versions_are_compared_as_numbers(here: Here, shell: tuple[str, ...]) -> None:
    here.uname = 'case $1 in -r) echo "5.10.0-28-amd64" ;; *) echo x86_64 ;; esac'
    for floor in ("5.10", "5.9", "4.18", "5.10.0", "5", "4.99.99", "5.9.100"):
        assert here.check(shell, KERNEL=floor) == "0\n", floor
    for floor in ("5.11", "5.10.1", "6", "10.0", "5.10.0.1"):
        said = here.check(shell, KERNEL=floor)
        assert "error: Linux 5.10.0-28-amd64 is too old\n" in said
        assert f"The bundle needs Linux {floor} or later" in said


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_the_machine_and_its_processor(here: Here, shell: tuple[str, ...]) -> None:
    here.uname = "echo armv7l"
    assert here.check(shell, MACHINE="armv6l", MACHINES="armv6l armv7l armv8l") == "0\n"
    said = here.check(shell, MACHINE="aarch64", MACHINES="aarch64", PLATFORM="linux-aarch64")
    assert "error: this bundle is for aarch64 (linux-aarch64); this machine is armv7l\n" in said
    here.uname = "echo x86_64"
    wanted = " ".join(LEVELS["x86_64_v3"])
    flags = f"fpu vme {wanted} avx512f"
    (here.room / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: spectre\n" * 2)
    assert here.check(shell, CPU="x86_64_v3", CPU_FEATURES=wanted) == "0\n"
    said = here.check(shell, CPU="x86_64_v4", CPU_FEATURES=" ".join(LEVELS["x86_64_v4"]))
    assert "error: this processor does not support x86_64_v4: it lacks avx512bw avx512cd avx512dq avx512vl\n" in said
    assert said.endswith("\n1\n")
    # one feature's name is another's beginning
    (here.room / "cpuinfo").write_text(f"flags\t\t: {flags.replace(' avx ', ' ')}\n")
    assert "it lacks avx\n" in here.check(shell, CPU="x86_64_v3", CPU_FEATURES=wanted)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_an_nvidia_driver(here: Here, shell: tuple[str, ...]) -> None:
    cuda = {"CUDA": "12.4", "CUDA_DRIVER": "550"}
    said = here.check(shell, GPU="needed", **cuda)
    assert "error: there is no NVIDIA driver on this machine\n  Install one with CUDA 12.4 or later, or build" in said
    assert here.check(shell, **cuda) == "0\n", "it may be missing"
    here.driver(CLOSED)
    assert here.check(shell, GPU="needed", **cuda) == "0\n"
    assert here.check(shell, GPU="needed") == "0\n", "any will do"
    newer = {"CUDA": "12.6", "CUDA_DRIVER": "560"}
    said = here.check(shell, **newer)
    assert (
        "error: the NVIDIA driver 550 is too old\n  The bundle needs CUDA 12.6 or later: driver 560 or later." in said
    )
    here.driver(OPEN)
    assert here.check(shell, GPU="needed", **newer) == "0\n"


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_a_driver_whose_version_says_nothing(here: Here, shell: tuple[str, ...]) -> None:
    wanted = {"GPU": "needed", "CUDA": "12.4", "CUDA_DRIVER": "550"}
    here.driver(TEGRA)
    said = here.check(shell, **wanted)
    assert "warning: the NVIDIA driver does not say which CUDA it supports" in said
    assert said.endswith("\n0\n")
    here.program("nvidia-smi", f"[ $(id -u) = 65534 ] && printf '%s' '{SMI}'")
    if shell[0] == "busybox":  # whose setpriv cannot become somebody else
        assert "does not say which CUDA" in here.check(shell, **wanted)
        return
    assert here.check(shell, **wanted) == "0\n"
    said = here.check(shell, GPU="needed", CUDA="99.0", CUDA_DRIVER="0")
    assert "error: the NVIDIA driver supports only CUDA 12.6\n  The bundle needs CUDA 99.0 or later" in said


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_the_weakest_gpu_counts(here: Here, shell: tuple[str, ...]) -> None:
    wanted = {"GPU": "needed", "CUDA_ARCH": "8.0"}
    assert "error: there is no NVIDIA driver on this machine\n" in here.check(shell, **wanted)
    here.driver(CLOSED)
    said = here.check(shell, **wanted)
    assert "warning: the GPU's compute capability cannot be determined\n  The bundle needs 8.0 or higher." in said
    assert said.endswith("\n0\n")
    here.program("nvidia-smi", "[ $(id -u) = 65534 ] && [ \"$1\" = --query-gpu=compute_cap ] && printf '10.0\\n8.6\\n'")
    if shell[0] == "busybox":  # whose setpriv cannot become somebody else
        return
    assert here.check(shell, **wanted) == "0\n"
    said = here.check(shell, **wanted | {"CUDA_ARCH": "9.0"})
    assert "error: a GPU of this machine has only compute capability 8.6\n  The bundle needs 9.0 or higher" in said
    assert said.endswith("\n1\n")


def test_an_image_is_another_machine(here: Here) -> None:
    header = {"IMAGE": "/srv", "KERNEL": "99", "CPU": "x", "CPU_FEATURES": "none", "GPU": "needed", "GLIBC": "9.99"}
    assert here.check(("sh",), **header) == "0\n"
    assert "is for aarch64" in here.check(("sh",), **header, MACHINE="aarch64", MACHINES="aarch64")

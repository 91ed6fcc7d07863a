"""``gpu = true`` where /proc says that there is NVIDIA's driver, as after a boot: nobody has made its device files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installkit import Spec
from targetkit import Target, good
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

DRIVER = """\
mount -t tmpfs none /proc/driver
mkdir -p /proc/driver/nvidia/gpus/0000:01:00.0
cd /proc/driver/nvidia
echo 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024' >version
printf 'Device Minor: \\t 0\\n' >gpus/0000:01:00.0/information
sed 's/^Block devices:/195 nvidia\\n511 nvidia-uvm\\n&/' /proc/devices >/run/devices
mount --bind /run/devices /proc/devices
mkdir -p /etc/systemd/system/hello-gpu.service.d
# Each of these gives the unit a /proc of its own here, with the machine's real devices.
printf '[Service]\\nProtectProc=default\\nProtectKernelTunables=no\\nProtectControlGroups=no\\n' \\
    >/etc/systemd/system/hello-gpu.service.d/proc.conf
"""
# What the kernel says of a device file without a device. BPF programs of systemd's keep a service from other devices;
# a machine of ours may load none.
GONE = "No such device or address"
TRIES = (
    "for device in nvidia0 nvidia-uvm; do (exec 3</dev/$device) || :; done 2>{state}/part; "
    "mv {state}/part {state}/said; exec sleep 999999"
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    spec = Spec(
        tables=f"[services.hello]\ncommand = ['/bin/bash', '-c', '{TRIES}']\nprofile = 'generic'\ngpu = true\n",
    )
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        target = Target(machine, tmp_path_factory.mktemp("bundles"))
        target.sh(DRIVER)
        good(target, spec)
        yield target


def test_the_service_finds_its_device_files(target: Target) -> None:
    assert until(lambda: target.machine.read("/var/lib/hello/said"))
    said = target.sh("cat /var/lib/hello/said").splitlines()
    assert [line.rpartition(": ")[2] for line in said] == [GONE, GONE]


def test_after_a_restart_they_are_made_again(target: Target) -> None:
    target.sh("rm /dev/nvidia*; rm /var/lib/hello/said; systemctl restart hello.service")
    assert until(lambda: target.machine.read("/var/lib/hello/said"))
    assert target.sh("ls /dev | grep nvidia").split() == ["nvidia-uvm", "nvidia-uvm-tools", "nvidia0", "nvidiactl"]


def test_status_tells_the_driver(target: Target) -> None:
    assert "NVIDIA driver: 550.54.14\n" in target.manage("status").stdout
    assert target.status()["gpu"] == {"driver": "550.54.14", "cuda": None}

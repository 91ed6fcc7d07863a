"""Throwaway machines with a real systemd as their PID 1, for ``smoke`` and the end-to-end tests."""

from bundler.machine.boot import Answer, Machine
from bundler.machine.enclosure import Disk
from bundler.machine.rootfs import SUITES, rootfs

__all__ = ["SUITES", "Answer", "Disk", "Machine", "rootfs"]

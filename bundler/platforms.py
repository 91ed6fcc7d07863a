"""conda's platforms for Linux, and what others call these machines."""

from __future__ import annotations

__all__ = ["MACHINES"]

MACHINES = {
    "linux-64": "x86_64",
    "linux-32": "i686",
    "linux-aarch64": "aarch64",
    "linux-armv7l": "armv7l",
    "linux-ppc64le": "ppc64le",
    "linux-riscv64": "riscv64",
    "linux-s390x": "s390x",
}
"""conda's platforms and what ``uname -m`` says there; wheels' platform tags end in the same word."""

"""conda's platforms for Linux: what ``uname -m`` says there, and the levels of their processors."""

from __future__ import annotations

import os

__all__ = ["ALL", "LEVELS", "MACHINES", "RUNS_TOO", "VIRTUAL_PACKAGES", "runs_here"]

ALL = "all"
"""On the command line: every platform of bundle.toml."""
MACHINES = {
    "linux-64": "x86_64",
    "linux-32": "i686",
    "linux-aarch64": "aarch64",
    "linux-armv6l": "armv6l",
    "linux-armv7l": "armv7l",
    "linux-ppc64le": "ppc64le",
    "linux-riscv64": "riscv64",
    "linux-s390x": "s390x",
}
"""conda's platforms and what ``uname -m`` says there."""
RUNS_TOO = {"linux-armv6l": ("armv7l", "armv8l"), "linux-armv7l": ("armv8l",)}
"""What ``uname -m`` says of other machines that run a platform's programs: later ones of the same family."""
VIRTUAL_PACKAGES = ("virtual-packages.yml", "virtual-packages.yaml")
"""What conda-lock looks for beside environment.yml."""
_X86_V2 = ("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3")
_X86_V3 = (*_X86_V2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")
_X86_V4 = (*_X86_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
LEVELS = {"x86_64": (), "x86_64_v2": _X86_V2, "x86_64_v3": _X86_V3, "x86_64_v4": _X86_V4}
"""The levels of the x86-64 psABI by their names in archspec, lowest first, and what Linux calls the features that each
asks for beside those that every such processor has (``flags`` in /proc/cpuinfo)."""


def runs_here(platform: str) -> bool:
    """Whether this machine is one of the platform's: nothing of another is ever run, even where an emulator could."""
    return os.uname().machine == MACHINES[platform]

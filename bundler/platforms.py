"""conda's platforms for Linux: what ``uname -m`` says there, and what may be assumed of the servers behind each."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from bundler.fields import Model

__all__ = [
    "ALL",
    "LEVELS",
    "MACHINES",
    "RUNS_TOO",
    "VIRTUAL_PACKAGES",
    "Platform",
    "PlatformTable",
    "assumed",
    "runs_here",
]

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


def _known(value: str) -> str:
    if value not in MACHINES:
        raise ValueError(f"there is no platform {value!r}; there are {', '.join(MACHINES)}")
    return value


Platform = Annotated[str, AfterValidator(_known)]


class PlatformTable(Model):
    """What every server of a platform has: conda's virtual packages, for the solver."""

    glibc: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+$")] = "2.28"
    """The lowest version of the C library among the servers."""
    linux: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")] = "5.10"
    """The lowest version of the kernel among them."""
    cuda: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+$")] | None = None
    """The CUDA version that their NVIDIA drivers support; without it packages for GPUs are not chosen."""
    archspec: Literal["x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4"] | None = None
    """The level that all their processors have; on linux-64 only."""


def assumed(platform: str, table: PlatformTable) -> dict[str, str]:
    """The virtual packages of a platform as conda-lock's virtual-packages.yml has them: name -> ``VERSION [BUILD]``."""
    family = {"linux-32": "x86"}.get(platform, MACHINES.get(platform, ""))
    cuda = {"__cuda": table.cuda} if table.cuda else {}
    return {
        "__unix": "0",
        "__linux": table.linux,
        "__glibc": table.glibc,
        "__archspec": f"1 {table.archspec or family}",
        **cuda,
    }


def runs_here(platform: str) -> bool:
    """Whether this machine is one of the platform's: nothing of another is ever run, even where an emulator could."""
    return os.uname().machine == MACHINES[platform]

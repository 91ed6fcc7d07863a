"""``[platforms.*]`` of bundle.toml: what all servers of a platform have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from bundler.config.fields import Model
from bundler.config.patterns import KERNEL, NUMBER
from bundler.config.servers import Archspec, PlainServers, assumed
from bundler.platforms import MACHINES

__all__ = ["Platform", "PlatformTable", "assumed"]


def _known(value: str) -> str:
    if value not in MACHINES:
        raise ValueError(f"unknown platform {value!r}; known platforms: {', '.join(MACHINES)}")
    return value


Platform = Annotated[str, AfterValidator(_known)]


class PlatformTable(Model):
    """What every server of a platform has: conda's virtual packages, for the solver."""

    glibc: Annotated[str, StringConstraints(pattern=NUMBER)] = PlainServers.glibc
    """The lowest glibc version of these servers."""
    linux: Annotated[str, StringConstraints(pattern=KERNEL)] = PlainServers.linux
    """Their lowest kernel version."""
    cuda: Annotated[str, StringConstraints(pattern=NUMBER)] | None = None
    """The CUDA version that their NVIDIA drivers support; without it, no packages for GPUs are selected."""
    cuda_arch: Annotated[str, StringConstraints(pattern=NUMBER)] | None = None
    """The lowest compute capability of their GPUs (CEP 46)."""
    archspec: Archspec | None = None
    """The microarchitecture level of all their processors; only for linux-64."""

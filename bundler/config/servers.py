"""The assumptions about a platform's servers, without the models that validate them in bundle.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from bundler.platforms import MACHINES

__all__ = ["Archspec", "PlainServers", "Servers", "assumed"]

Archspec = Literal["x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4"]


class Servers(Protocol):
    """The interface of a ``[platforms.<name>]`` table (:class:`~bundler.config.platforms.PlatformTable`)."""

    @property
    def glibc(self) -> str: ...
    @property
    def linux(self) -> str: ...
    @property
    def cuda(self) -> str | None: ...
    @property
    def cuda_arch(self) -> str | None: ...
    @property
    def archspec(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class PlainServers:
    """Such a table that was read without pydantic, with the defaults."""

    glibc: str = "2.28"
    linux: str = "5.10"
    cuda: str | None = None
    cuda_arch: str | None = None
    archspec: str | None = None


def assumed(platform: str, table: Servers) -> dict[str, str]:
    """A platform's virtual packages in the format of conda-lock's virtual-packages.yml: name -> ``VERSION [BUILD]``."""
    family = {"linux-32": "x86"}.get(platform, MACHINES.get(platform, ""))
    cuda = {"__cuda": table.cuda} if table.cuda else {}
    cuda |= {"__cuda_arch": table.cuda_arch} if table.cuda_arch else {}
    return {
        "__unix": "0",
        "__linux": table.linux,
        "__glibc": table.glibc,
        "__archspec": f"1 {table.archspec or family}",
        **cuda,
    }

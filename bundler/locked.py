"""What is locked: the packages of one platform, whichever tool wrote the lockfile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOCAL", "TOOLS", "Lock", "LockedPackage", "dist_of"]

LOCAL = "file:///local"
"""What stands for the channel of a package that comes from none; conda wants a URL."""
TOOLS = "conda-bundler"
"""The category of packages that belong to no environment: what a bundle brings to install itself."""
_EXTENSIONS = (".conda", ".tar.bz2")


def dist_of(filename: str) -> str:
    """``name-version-build``: what a conda archive is called, without its ending."""
    for extension in _EXTENSIONS:
        filename = filename.removesuffix(extension)
    return filename


@dataclass(frozen=True, kw_only=True)
class LockedPackage:
    """One package on one platform.

    ``manager`` is ``conda`` or ``pip``; ``depends`` are ``name version-spec`` strings, sorted. In ``url`` a credential
    stands as ``${NAME}``, for an environment variable. One that is ``injected`` (:mod:`bundler.inject`) is in no
    lockfile; ``replaces`` are the keys and versions of what was locked in its place.
    """

    name: str
    version: str
    manager: str
    platform: str
    url: str
    sha256: str | None
    md5: str | None
    depends: tuple[str, ...]
    injected: bool = False
    replaces: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        """The archive's name: the URL's last part, which for a wheel may be quoted."""
        if self.manager != "conda":
            return unquote(urlsplit(self.url).path.rsplit("/", 1)[-1])
        return self.url.split("#")[0].rsplit("/", 1)[-1]

    @property
    def key(self) -> str:
        """The name, told from that of a conda package if it is a wheel: the two may be called the same."""
        return self.name if self.manager == "conda" else f"pip:{self.name}"

    @property
    def dist(self) -> str:
        """A conda package's ``name-version-build``: what its copy in the package cache is called by."""
        return dist_of(self.filename)

    @property
    def build(self) -> str:
        """A conda package's build string; empty for a wheel."""
        return self.dist.rsplit("-", 2)[-1] if self.manager == "conda" else ""

    @property
    def subdir(self) -> str:
        """The channel's directory that has it: the platform, or ``noarch``."""
        return self.url.rsplit("/", 2)[-2]

    @property
    def channel(self) -> str:
        """The channel's URL, without subdir and file name."""
        return self.url.rsplit("/", 2)[0]


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a lockfile says for one platform; the packages are sorted by name."""

    path: Path
    platform: str
    packages: tuple[LockedPackage, ...]

    @property
    def names(self) -> frozenset[str]:
        """What the environment consists of, whatever its version."""
        return frozenset(package.name for package in self.packages)

"""The locked packages of one platform, whichever tool wrote the lockfile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOCAL", "TOOLS", "Lock", "LockedPackage", "dist_of"]

LOCAL = "file:///local"
"""The channel of packages that come from none; conda requires a URL."""
TOOLS = "conda-bundler"
"""The category of packages outside the environment: those that a bundle includes to install itself."""
_EXTENSIONS = (".conda", ".tar.bz2")


def dist_of(filename: str) -> str:
    """``name-version-build``: a conda archive's name without its suffix."""
    for extension in _EXTENSIONS:
        filename = filename.removesuffix(extension)
    return filename


@dataclass(frozen=True, kw_only=True)
class LockedPackage:
    """One package on one platform.

    ``manager`` is ``conda`` or ``pip``; ``depends`` are ``name version-spec`` strings, sorted. A credential in ``url``
    is an environment variable, ``${NAME}``. An ``injected`` package (:mod:`bundler.inject`) is in no lockfile;
    ``replaces`` are the keys and versions of the locked packages that it replaces.
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
        """The archive's name: the last part of the URL, unquoted for a wheel."""
        if self.manager != "conda":
            return unquote(urlsplit(self.url).path.rsplit("/", 1)[-1])
        return self.url.split("#")[0].rsplit("/", 1)[-1]

    @property
    def key(self) -> str:
        """The name, marked if it is a wheel, since a conda package may have the same name."""
        return self.name if self.manager == "conda" else f"pip:{self.name}"

    @property
    def dist(self) -> str:
        """A conda package's ``name-version-build``, by which its copy in the package cache is named."""
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
    """A lockfile's packages for one platform, sorted by name."""

    path: Path
    platform: str
    packages: tuple[LockedPackage, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of all packages."""
        return frozenset(package.name for package in self.packages)

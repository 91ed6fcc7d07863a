"""The environment's Python, as far as it matters for wheels. It is never run: its conda package describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from bundler.errors import PrefixError
from bundler.package.sitepackages import site_packages_of
from bundler.platforms import MACHINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import BuildTag, NormalizedName

__all__ = ["Python", "glibc_of", "parse_filename"]

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_LONGEST = 255
"""Characters of the name of a wheel, as the kernel has it."""
_HERE = "here"
"""The platform tag that represents all supported ones, whatever glibc they need: the server's preflight checks that."""


@dataclass(frozen=True)
class Python:
    """``version`` is the package's version, such as ``3.11.7``; ``site_packages`` is relative to the prefix."""

    version: Version
    build: str
    platform: str
    site_packages: str

    @classmethod
    def of(cls, index: Mapping[str, Any], platform: str) -> Python:
        """The Python whose package has this ``index.json``. Raises :class:`PrefixError` if it is not CPython."""
        try:
            version, build = Version(index["version"]), str(index["build"])
        except (LookupError, ValueError) as error:
            raise PrefixError(f"its version cannot be read: {error!r}", where="python") from error
        if "pypy" in build:
            raise PrefixError(
                f"wheels require CPython, and this is {version} {build}",
                where="python",
                remedy="Request a CPython build (python=*=*_cpython), or use only conda packages.",
            )
        return cls(version, build, platform, site_packages_of(index))

    @property
    def free_threaded(self) -> bool:
        return re.search(r"_cp\d+t$", self.build) is not None

    @property
    def schemes(self) -> Mapping[str, str]:
        """The directories for the parts of a wheel, below the prefix, as in sysconfig. Headers have one per wheel."""
        library = self.site_packages.rpartition("/")[0].rpartition("/")[2]
        return {
            "purelib": self.site_packages,
            "platlib": self.site_packages,
            "headers": f"include/{library}",
            "scripts": "bin",
            "data": "",
        }

    @cached_property
    def markers(self) -> Mapping[str, str]:
        """The values of environment markers (PEP 508). Those that depend on the running kernel are empty."""
        return {
            "implementation_name": "cpython",
            "implementation_version": str(self.version),
            "os_name": "posix",
            "platform_machine": MACHINES[self.platform],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": str(self.version),
            "python_version": f"{self.version.major}.{self.version.minor}",
            "sys_platform": "linux",
            "extra": "",
        }

    @cached_property
    def _supported(self) -> frozenset[Tag]:
        release = (self.version.major, self.version.minor)
        interpreter = f"cp{release[0]}{release[1]}"
        abi = f"{interpreter}t" if self.free_threaded else interpreter
        native = cpython_tags(python_version=release, abis=[abi], platforms=[_HERE])
        pure = compatible_tags(python_version=release, interpreter=interpreter, platforms=[_HERE])
        return frozenset((*native, *pure))

    def takes(self, tags: Iterable[Tag]) -> bool:
        """Whether a wheel with these tags can be installed."""
        return any(
            Tag(tag.interpreter, tag.abi, _HERE if _glibc(tag.platform, self.platform) else tag.platform)
            in self._supported
            for tag in tags
        )

    def __str__(self) -> str:
        return f"Python {self.version}{' (free-threaded)' if self.free_threaded else ''} on {self.platform}"


def parse_filename(filename: str) -> tuple[NormalizedName, Version, BuildTag, frozenset[Tag]]:
    """Project, version, build and tags of a wheel. Raises :class:`InvalidWheelFilename`.

    A name that is too long for a file is none: its tags, which multiply, could be more than memory holds.
    """
    if len(filename) > _LONGEST:
        raise InvalidWheelFilename(f"the name of a wheel has {_LONGEST} characters at most: {filename[:60]}…")
    return parse_wheel_filename(filename)


def glibc_of(filename: str, platform: str) -> tuple[int, int]:
    """The lowest glibc that a wheel runs with, by its file name; (0, 0) if it does not say."""
    _, _, _, tags = parse_filename(filename)
    return min((needed for tag in tags if (needed := _glibc(tag.platform, platform))), default=(0, 0))


def _glibc(tag: str, platform: str) -> tuple[int, int] | None:
    """The glibc that a platform tag (PEP 600) requires; None if it is for a different platform, or for any."""
    name, separator, machine = tag.partition(f"_{MACHINES[platform]}")
    if not separator or machine:
        return None
    if name == "linux":
        return (0, 0)
    found = re.fullmatch(r"manylinux_(\d+)_(\d+)", name)
    return (int(found[1]), int(found[2])) if found else _LEGACY.get(name)

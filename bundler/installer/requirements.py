"""What a target must have for the locked packages to run: what install.sh asks of it in its preflight.

Packages say it as dependencies on virtual packages (``__glibc``, ``__linux``, ``__archspec``, ``__cuda``,
``__cuda_arch``), wheels in their platform tags. Only the least is asked for: a later C library, kernel or driver runs
what an earlier one ran.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.fetch.archives import INDEX
from bundler.platforms import LEVELS, MACHINES, RUNS_TOO
from bundler.wheels.python import glibc_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.config.project import BundleConfig
    from bundler.fetch.archives import Archive
    from bundler.locked import Lock
    from bundler.units.libraries import HostLibrary

__all__ = ["Requirements", "requirements"]

_BRANCHES = (
    ("10.0", 410), ("10.1", 418), ("10.2", 440), ("11.0", 450), ("11.1", 455), ("11.2", 460), ("11.3", 465),
    ("11.4", 470), ("11.5", 495), ("11.6", 510), ("11.7", 515), ("11.8", 520), ("12.0", 525), ("12.1", 530),
    ("12.2", 535), ("12.3", 545), ("12.4", 550), ("12.5", 555), ("12.6", 560), ("12.7", 565), ("12.8", 570),
    ("12.9", 575), ("13.0", 580), ("13.1", 590),
)  # fmt: skip
"""The first branch of NVIDIA's driver with each CUDA version, by the table of drivers in CUDA's release notes."""


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """Versions are dotted numbers, the lowest that will do; empty where any will.

    ``machines`` are what ``uname -m`` may say, the platform's own first. ``level`` is a key of LEVELS. ``cuda`` is what
    an NVIDIA driver must support, ``cuda_arch`` the compute capability that each GPU must have;
    ``gpu`` says whether there has to be one at all. ``libraries`` are those that the
    bundle does not bring.
    """

    machines: tuple[str, ...]
    glibc: str = ""
    linux: str = ""
    level: str = ""
    cuda: str = ""
    cuda_arch: str = ""
    gpu: bool = False
    libraries: tuple[HostLibrary, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """What ``flags`` in /proc/cpuinfo must have."""
        return LEVELS.get(self.level, ())

    @property
    def branch(self) -> int:
        """The lowest major version of NVIDIA's driver with that CUDA; 0 if it is not known, or any will do."""
        wanted = _numbers(self.cuda)
        return next((driver for version, driver in _BRANCHES if wanted and _numbers(version) >= wanted), 0)

    def covers(self, other: Requirements) -> bool:
        """Whether each machine that meets these has the C library, kernel and processor that ``other`` asks for."""
        levels = tuple(LEVELS)
        return (
            _numbers(self.glibc) >= _numbers(other.glibc)
            and _numbers(self.linux) >= _numbers(other.linux)
            and (not other.level or (bool(self.level) and levels.index(self.level) >= levels.index(other.level)))
        )


def requirements(
    config: BundleConfig, lock: Lock, archives: Iterable[Archive], libraries: tuple[HostLibrary, ...] = ()
) -> Requirements:
    """The least that all packages ask for, and the services with a GPU."""
    needed, allowed = _specs(lock, archives)
    both = (*needed, *allowed)
    wheels = [_wheel_glibc(package.filename, lock.platform) for package in lock.packages if package.manager == "pip"]
    gpu_service = any(service.table.gpu for service in config.services)
    cuda = _highest(both, "__cuda")
    if gpu_service and not cuda:  # libraries from wheels do not say what they need
        cuda = config.platform_table(lock.platform).cuda or ""
    return Requirements(
        machines=(MACHINES[lock.platform], *RUNS_TOO.get(lock.platform, ())),
        glibc=max((_highest(both, "__glibc"), *wheels), key=_numbers),
        linux=_highest(both, "__linux"),
        level=_level(both),
        cuda=cuda,
        cuda_arch=_highest(both, "__cuda_arch"),
        gpu=gpu_service or any(_name(spec) in {"__cuda", "__cuda_arch"} for spec in needed),
        libraries=libraries,
    )


def _specs(lock: Lock, archives: Iterable[Archive]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What packages depend on, and what they are content with if it is there at all (``constrains``).

    The lockfile has a channel's later corrections, the archive what conda-lock leaves out: build strings.
    """
    needed = [spec for package in lock.packages for spec in package.depends]
    allowed: list[str] = []
    for archive in archives:
        index = json.loads(archive.info.get(INDEX, b"{}"))
        needed += _unconditional(archive, index.get("depends", ()))
        allowed += index.get("constrains", ())
    return tuple(_virtual(needed)), tuple(_virtual(allowed))


def _unconditional(archive: Archive, specs: Iterable[str]) -> Iterator[str]:
    """What an archive depends on in this environment: the lockfile says which conditions (``when``) hold."""
    held = {spec.split()[0] for spec in archive.package.depends}
    for spec in specs:
        if "[" not in spec or "when=" not in spec or _name(spec) in held:
            yield re.sub(r"\bwhen=(\"[^\"]*\"|'[^']*')", "", spec)


def _virtual(specs: Iterable[str]) -> Iterator[str]:
    return (spec.strip() for spec in dict.fromkeys(specs) if spec.strip().startswith("__"))


def _name(spec: str) -> str:
    found = re.match(r"\w+", spec)
    return found[0] if found else ""


def _highest(specs: Iterable[str], name: str) -> str:
    return max((_floor(spec.removeprefix(name)) for spec in specs if _name(spec) == name), key=_numbers, default="")


def _floor(spec: str) -> str:
    """The lowest version that a spec (``>=2.17,<3``, ``11.*|12.*``, ``=1=build``) allows; empty if any."""
    version = re.split(r"(?<=[\w*])[ =]", spec.strip(), maxsplit=1)[0]  # without the build
    return min((_floor_of_all(part) for part in version.split("|")), key=_numbers)


def _floor_of_all(conditions: str) -> str:
    found = [re.fullmatch(r"(?:>=?|~=|==?)?([0-9]+(?:\.[0-9]+)*)\S*", one.strip()) for one in conditions.split(",")]
    return max((one[1] for one in found if one), key=_numbers, default="")


def _level(specs: Iterable[str]) -> str:
    """The highest level that a spec of ``__archspec`` names as its build."""
    named = {
        found for spec in specs if _name(spec) == "__archspec" for found in re.findall(r"\bx86_64(?:_v\d)?\b", spec)
    }
    highest = [level for level, features in LEVELS.items() if features and level in named]
    return highest[-1] if highest else ""


def _wheel_glibc(filename: str, platform: str) -> str:
    major, minor = glibc_of(filename, platform)
    return f"{major}.{minor}" if major else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)

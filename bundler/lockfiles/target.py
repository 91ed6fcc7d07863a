"""What lockfiles of wheels are read for: a Python on a platform, and what of the project is wanted there."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name

from bundler.errors import ConfigError, LockError, without_credentials
from bundler.locked import LockedPackage
from bundler.lockfiles.checked import BadEntry, checked
from bundler.wheels.interpreter import best_wheel
from bundler.wheels.python import parse_filename
from bundler.wheels.requirements import BUILD_IT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bundler.config.lockfiles import Kind
    from bundler.wheels.python import Python

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["File", "NoWheel", "Target", "load_toml", "remedy_for"]

_TAKE_ANOTHER = f"conda-bundler does not build from source. Use another version and lock again, or {BUILD_IT}."


class NoWheel(BadEntry):
    """There is none that can be installed."""


def remedy_for(problems: Iterable[BadEntry], kind: Kind) -> str:
    """What to do with a file of ``kind`` that has these."""
    return _TAKE_ANOTHER if any(isinstance(one, NoWheel) for one in problems) else kind.remedy


@dataclass(frozen=True, kw_only=True)
class File:
    """A wheel that a lockfile offers."""

    url: str
    sha256: str | None

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.url).path.rsplit("/", 1)[-1])


@dataclass(frozen=True, kw_only=True)
class Target:
    """``python`` on servers with ``glibc``. Projects that are ``injected`` need have no wheel."""

    python: Python
    glibc: tuple[int, int]
    injected: frozenset[str] = frozenset()

    def wants(self, marker: Any, *, extras: Iterable[str] = (), groups: Iterable[str] = ()) -> bool:
        """Whether an environment marker holds there. Raises :class:`BadEntry` if it is none."""
        if not marker:
            return True
        environment: dict[str, Any] = {
            **self.python.markers,
            "extra": "",
            "extras": frozenset(extras),
            "dependency_groups": frozenset(groups),
        }
        try:
            return Marker(str(marker)).evaluate(environment, context="lock_file")
        except ValueError as error:  # of packaging's, or a number of too many digits
            raise BadEntry(f"{marker!r} is not an environment marker") from error

    def takes_python(self, specifier: Any) -> bool:
        """Whether the Python is one that ``requires-python`` names. Raises ValueError."""
        return SpecifierSet(str(specifier or "")).contains(self.python.version, prereleases=True)

    def check_python(self, specifier: Any, path: Path, kind: Kind) -> None:
        """Raise :class:`ConfigError` if a lockfile's ``requires-python`` is not met."""
        try:
            fits = self.takes_python(specifier)
        except ValueError as error:
            raise LockError(f"`requires-python` is wrong: {error}", where=str(path), remedy=kind.remedy) from error
        if not fits:
            raise ConfigError(
                f"requires Python {specifier}; the conda packages provide {self.python}",
                where=str(path),
                remedy="Request a matching Python where the conda packages are locked, or lock the wheels for this "
                "one.",
            )

    def choose(self, name: str, version: str, files: Iterable[File], depends: Iterable[str]) -> LockedPackage | None:
        """The best wheel for the target; None if there is none and the name is injected. Raises :class:`BadEntry`."""
        named = {file.name: file for file in files}
        try:
            best = best_wheel(named, self.python, self.glibc)
        except InvalidWheelFilename as error:
            raise BadEntry(f"{name} {version}: {error}") from error
        if best is None:
            return self.lacks(
                name,
                f"{version}: no wheel fits {self.python} with glibc {self.glibc[0]}.{self.glibc[1]}: {', '.join(named)}"
                if named
                else f"{version}: no wheel available, only source",
            )
        return checked(
            LockedPackage(
                name=name,
                version=version or str(parse_filename(best)[1]),
                manager="pip",
                platform=self.python.platform,
                url=named[best].url.partition("#")[0],
                sha256=named[best].sha256,
                md5=None,
                depends=tuple(sorted(set(depends))),
            ),
            unhashed="its wheel has no sha256",
        )

    def lacks(self, name: str, reason: str) -> LockedPackage | None:
        """None if what there is no wheel of is injected. Raises :class:`NoWheel` if it is not."""
        if canonicalize_name(name) not in self.injected:
            raise NoWheel(f"{name} {reason}")
        return None


def load_toml(path: Path, kind: Kind) -> Mapping[str, Any]:
    """Parse a lockfile. Raises :class:`ConfigError` and :class:`LockError` if that cannot be done."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as missing:
        raise ConfigError("no such lockfile", where=str(path), remedy=kind.remedy) from missing
    except OSError as failed:
        raise ConfigError(f"cannot be read: {failed.strerror}", where=str(path)) from failed
    except (ValueError, RecursionError) as damaged:  # no TOML, no UTF-8, numbers too large, too deep
        raise LockError(
            f"not valid TOML: {without_credentials(str(damaged))}", where=str(path), remedy=kind.remedy
        ) from damaged

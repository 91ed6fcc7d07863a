"""Do local packages go with the environment? What they need is there, and what needs them can live with them.

What was locked is not gone into otherwise: that is what a solver has done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.errors import PrefixError
from bundler.inject.files import name_at_conda

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement
    from rattler import MatchSpec, PackageRecord

    from bundler.fetch.archives import Archive
    from bundler.locked import Lock
    from bundler.wheels.python import Python
    from bundler.wheels.read import Wheel

__all__ = ["check_local", "other_python"]

_PYTHON = ("python", "python_abi")


def check_local(archives: Iterable[Archive], wheels: Mapping[str, Wheel], python: Python | None) -> None:
    """Raise :class:`PrefixError` with all that does not go together.

    ``wheels`` are those among ``archives``, by their keys; ``python`` is None if the environment has none.
    """
    environment = _Environment(tuple(archives), wheels, python)
    problems = environment.problems()
    if problems:
        raise PrefixError(
            "injected packages conflict with the lockfile:" + "".join(f"\n    {problem}" for problem in problems),
            where="bundle.inject",
            remedy="Add what is missing to environment.yml and lock again, or inject it as well.",
        )


def other_python(depends: Iterable[str], lock: Lock) -> str:
    """What a conda package asks of Python that ``lock`` has not; empty if it has. CI builds one for each Python."""
    pythons = {package.name: package for package in lock.packages if package.key in _PYTHON}
    for text in depends:
        spec = _spec(text)
        locked = pythons.get(spec.name.normalized) if spec else None
        if spec and locked and not spec.matches(_record(locked.name, locked.version, locked.build)):
            return f"needs {text}; there is {locked.name} {locked.version}"
    return ""


class _Environment:
    def __init__(self, archives: Sequence[Archive], wheels: Mapping[str, Wheel], python: Python | None) -> None:
        self._archives = archives
        self._wheels = wheels
        self._python = python
        self._indexes: dict[str, Mapping[str, Any]] = {
            archive.package.key: archive.index().document for archive in archives if archive.info
        }
        self._local = {self._name(archive) for archive in archives if archive.package.injected}
        self._projects = {wheel.name: wheel for wheel in wheels.values()}
        self._by_name = {self._name(archive): archive for archive in archives}

    def problems(self) -> list[str]:
        found = []
        for archive in self._archives:
            needs = self._of_wheel if archive.package.manager == "pip" else self._of_conda
            found += [
                f"{archive.package.name} {archive.package.version} {problem}"
                for name, problem in needs(archive)
                if archive.package.injected or name in self._local
            ]
        return found

    @staticmethod
    def _name(archive: Archive) -> str:
        """What conda calls it, normalised: the one name that both worlds have for it."""
        name = archive.package.name
        return name_at_conda(name) if archive.package.manager == "pip" else canonicalize_name(name)

    def _of_wheel(self, archive: Archive) -> Iterator[tuple[str, str]]:
        """The names of what a wheel needs and has not, each with the sentence's end."""
        for requirement in self._requirements(self._wheels[archive.package.key], frozenset({""})):
            name = name_at_conda(requirement.name)
            other = self._by_name.get(name)
            if other is None:
                yield name, f"requires {requirement}, which is missing"
            elif not _satisfied(requirement, other.package.version):
                yield name, f"requires {requirement}, but found {_told(other)}"

    def _requirements(
        self, wheel: Wheel, extras: frozenset[str], seen: frozenset[tuple[str, str]] = frozenset()
    ) -> Iterator[Requirement]:
        """What a wheel needs, with what its requirements' extras need in turn."""
        assert self._python is not None  # there are no wheels without
        for requirement in wheel.requires:
            environments = ({**self._python.markers, "extra": extra} for extra in extras)
            if requirement.marker and not any(requirement.marker.evaluate(one) for one in environments):
                continue
            yield requirement
            other = self._projects.get(canonicalize_name(requirement.name))
            wanted = {(requirement.name, extra) for extra in requirement.extras} - seen
            if other is not None and wanted:
                asked = frozenset(extra for _, extra in wanted)
                yield from (one for one in self._requirements(other, asked, seen | wanted) if one.marker is not None)

    def _of_conda(self, archive: Archive) -> Iterator[tuple[str, str]]:
        """The same for a conda package, and what must not be beside it."""
        index = self._indexes[archive.package.key]
        for key, verb in (("depends", "requires"), ("constrains", "is only compatible with")):
            for text in index.get(key, ()):
                spec = _spec(text)
                if spec is None or text.startswith("__"):  # what the target has: its preflight looks at that
                    continue
                name = canonicalize_name(spec.name.normalized)
                other = self._by_name.get(name)
                if other is None and key == "depends":
                    yield name, f"{verb} {text}, which is missing"
                elif other is not None and not spec.matches(self._record(other, spec.name.normalized)):
                    yield name, f"{verb} {text}, but found {_told(other)}"

    def _record(self, archive: Archive, asked: str) -> PackageRecord:
        """A package as conda sees it; a wheel has the name that it was asked for by."""
        index = self._indexes.get(archive.package.key, {"name": asked})
        return _record(index["name"], archive.package.version, index.get("build", "0"))


def _spec(text: str) -> MatchSpec | None:
    """None for what no solver would have understood."""
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    try:
        return MatchSpec(text)
    except InvalidMatchSpecError:
        return None


def _record(name: str, version: str, build: str) -> PackageRecord:
    from rattler import PackageRecord
    from rattler.package import BuildString

    return PackageRecord(name, version, BuildString(build), build_number=0, subdir="noarch")


def _satisfied(requirement: Requirement, version: str) -> bool:
    """By version; one of conda's that is none of Python's is taken to be what it is called."""
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _told(archive: Archive) -> str:
    return f"{archive.package.name} {archive.package.version}"

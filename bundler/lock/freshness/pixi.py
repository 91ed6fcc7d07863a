"""Compare a pixi.lock with pixi.toml or pyproject.toml: all requirements are locked, and nothing else.

pixi does not record a digest of the manifest. So each spec is matched with the locked packages, and each locked package
has to be reachable from a spec. Channels and options are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bundler.config.lockfiles import DEFAULT
from bundler.lock.freshness.unknown import Unknown, read_manifest
from bundler.lockfiles.read import read_lock
from bundler.wheels.names import conda_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from bundler.config.lockfiles import Lockfiles
    from bundler.locked import LockedPackage

__all__ = ["pixi_misfit"]

_CONDA = ("dependencies", "host-dependencies", "build-dependencies")
_PLACES = ("path", "git", "url")


def pixi_misfit(path: Path, lockfiles: Lockfiles, platforms: Iterable[str]) -> str:
    """Why the pixi.lock at ``path`` is out of date; empty if it is not. Raises :class:`Unknown` if that is unknown."""
    name, manifest = _manifest(path)
    environment = lockfiles.environment or DEFAULT
    for platform in platforms:
        wishes = _Wishes()
        try:
            for feature in _features(manifest, environment):
                wishes.add(feature, platform)
        except (AttributeError, TypeError, ValueError) as error:
            raise Unknown(f"cannot read the dependencies of {name} ({error})") from error
        locked = read_lock(lockfiles, platform).packages
        if problem := wishes.unmet(locked) or wishes.surplus(locked):
            return f"{name} {problem} (for {platform})"
    return ""


def _manifest(path: Path) -> tuple[str, Mapping[str, Any]]:
    """pixi's manifest next to the lockfile, and its name."""
    own, python = path.with_name("pixi.toml"), path.with_name("pyproject.toml")
    if own.is_file() or not python.is_file():
        return own.name, read_manifest(own)
    document = read_manifest(python)
    manifest = (document.get("tool") or {}).get("pixi")
    if not isinstance(manifest, dict):
        raise Unknown("no pixi.toml next to it, and pyproject.toml has no [tool.pixi]")
    project = document.get("project") or {}
    groups = {**(project.get("optional-dependencies") or {}), **(document.get("dependency-groups") or {})}
    features = {group: {"requirements": texts} for group, texts in groups.items()}
    for group, table in (manifest.get("feature") or {}).items():
        features[group] = {**features.get(group, {}), **table}
    return python.name, {**manifest, "requirements": project.get("dependencies") or [], "feature": features}


def _features(manifest: Mapping[str, Any], environment: str) -> Iterator[Mapping[str, Any]]:
    """The tables that an environment is made of."""
    environments = manifest.get("environments") or {}
    if environment != DEFAULT and environment not in environments:
        raise Unknown(f"the manifest has no environment {environment!r}")
    table = environments.get(environment, [])
    names = table if isinstance(table, list) else table.get("features") or []
    if isinstance(table, list) or not table.get("no-default-feature"):
        yield manifest
    for name in names:
        yield (manifest.get("feature") or {}).get(name) or {}


@dataclass
class _Wishes:
    """The requirements: conda packages with their specs, and projects with their versions, by name."""

    conda: dict[str, list[str]] = field(default_factory=dict)
    projects: dict[str, list[SpecifierSet]] = field(default_factory=dict)
    from_source: bool = False

    def add(self, feature: Mapping[str, Any], platform: str) -> None:
        targets = feature.get("target") or {}
        selected = [targets[name] for name in ("unix", "linux", platform) if name in targets]
        for table in (feature, *selected):
            for key in _CONDA:
                for name, wanted in (table.get(key) or {}).items():
                    self._add_conda(name, wanted)
            for name, wanted in (table.get("pypi-dependencies") or {}).items():
                place = isinstance(wanted, dict) and any(key in wanted for key in _PLACES)
                versions = wanted if isinstance(wanted, str) else wanted.get("version") or ""
                self._add_project(name, "" if place or versions == "*" else versions)
        for text in feature.get("requirements") or ():
            if not isinstance(text, str):
                raise Unknown("a dependency group includes another")
            wanted = Requirement(text)
            if wanted.marker is None:  # whether a marker applies depends on the environment's Python
                self._add_project(wanted.name, str(wanted.specifier))
            else:
                self._add_project(wanted.name, None)

    def _add_conda(self, name: str, wanted: Any) -> None:
        if isinstance(wanted, dict):
            if any(key in wanted for key in _PLACES):
                self.from_source = True
                return
            wanted = f"{wanted.get('version') or '*'} {wanted.get('build') or ''}"
        self.conda.setdefault(name.lower(), []).append(str(wanted).strip())

    def _add_project(self, name: str, versions: str | None) -> None:
        known = self.projects.setdefault(str(canonicalize_name(name)), [])
        if versions is not None:
            known.append(SpecifierSet(versions))

    def unmet(self, locked: Iterable[LockedPackage]) -> str:
        """The first requirement that no locked package meets; empty if all are met."""
        conda = {package.name: package for package in locked if package.manager == "conda"}
        wheels = {str(canonicalize_name(package.name)): package for package in locked if package.manager == "pip"}
        for name, specs in self.conda.items():
            for spec in specs:
                if name not in conda:
                    return f"requires {name} {spec}, which is not locked"
                if not _matches(f"{name} {spec}", conda[name]):
                    return f"requires {name} {spec}, but {conda[name].version} {conda[name].build} is locked"
        for name, versions in self.projects.items():
            package = wheels.get(name) or conda.get(str(conda_names().get(name, name)))
            if package is None and versions:
                return f"requires {name} from PyPI, which is not locked"
            for one in versions if package else ():
                if not _contains(one, package):
                    return f"requires {name}{one} from PyPI, but {package.version if package else ''} is locked"
        return ""

    def surplus(self, locked: Iterable[LockedPackage]) -> str:
        """The first locked package that nothing requires; empty if there is none."""
        if self.from_source:  # the dependencies of a package that is built from source are not in the manifest
            return ""
        packages = {package.key: package for package in locked}
        pending = [*self.conda, *(f"pip:{name}" for name in self.projects)]
        pending += [str(conda_names().get(name, name)) for name in self.projects]
        reached = set()
        while pending:
            key = pending.pop()
            if key not in packages or key in reached:
                continue
            reached.add(key)
            for text in packages[key].depends:
                name = text.split()[0] if packages[key].manager == "conda" else _project(text)
                pending += [name, f"pip:{name}"] if packages[key].manager == "pip" else [name]
        left = sorted(packages[key].name for key in packages if key not in reached)
        return f"no longer requires {', '.join(left)}" if left else ""


def _project(text: str) -> str:
    try:
        return str(canonicalize_name(Requirement(text).name))
    except InvalidRequirement:
        return text


def _contains(versions: SpecifierSet, package: LockedPackage | None) -> bool:
    try:
        return package is not None and versions.contains(package.version, prereleases=True)
    except ValueError:
        return True  # not a PEP 440 version


def _matches(text: str, package: LockedPackage) -> bool:
    from rattler import MatchSpec, PackageRecord
    from rattler.exceptions import InvalidMatchSpecError
    from rattler.package import BuildString

    try:
        spec = MatchSpec(text)
    except InvalidMatchSpecError as error:
        raise Unknown(f"{text!r} is not a valid match spec ({error})") from error
    number = package.build.rpartition("_")[2]
    record = PackageRecord(
        package.name,
        package.version,
        BuildString(package.build),
        build_number=int(number) if number.isdigit() else 0,
        subdir=package.subdir,
    )
    return bool(spec.matches(record))

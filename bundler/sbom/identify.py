"""Identify packages: package URLs, and the PyPI projects that a conda package contains.

Scanners match ``pkg:pypi`` and ignore ``pkg:conda``, so the SBOM has to list what a conda package contains. The most
reliable source are the projects' metadata directories in the package, then its recipe's sources, then its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from packageurl import PackageURL
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename

from bundler.wheels.names import project_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.about.facts import Facts
    from bundler.locked import LockedPackage

__all__ = ["Project", "channel_name", "generic_purl", "package_purl", "projects_of", "public"]

_INDEXES = ("files.pythonhosted.org", "pypi.io", "pypi.org", "pypi.python.org")
_CONDA_HOSTS = ("conda.anaconda.org", "repo.anaconda.com", "repo.prefix.dev", "prefix.dev")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A PyPI project in a conda package, and how it was identified; ``sha256`` is that of its source distribution."""

    name: str
    version: str
    evidence: Literal["metadata", "recipe", "name"]
    path: str = ""
    url: str = ""
    sha256: str = ""

    @property
    def purl(self) -> PackageURL:
        return PackageURL("pypi", None, self.name, self.version)


def public(url: str) -> str:
    """``url`` if it may be published; empty for a local path, or if it contains a secret."""
    return url if url.startswith("http") and not {"$", "@", "…"} & set(url) else ""


def channel_name(package: LockedPackage) -> str:
    """``conda-forge``; the URL of a channel on any other host; the last part of a local path."""
    parts = urlsplit(package.channel)
    if parts.scheme == "file" or parts.hostname in _CONDA_HOSTS:
        return unquote(parts.path.strip("/").rpartition("/")[2] if parts.scheme == "file" else parts.path.strip("/"))
    return public(package.channel) or str(parts.hostname)


def package_purl(package: LockedPackage) -> PackageURL:
    """A locked package's own."""
    if package.manager != "conda":
        return PackageURL("pypi", None, canonicalize_name(package.name), package.version)
    qualifiers = {
        "build": package.build,
        "channel": channel_name(package),
        "subdir": package.subdir,
        "type": "conda" if package.filename.endswith(".conda") else "tar.bz2",
    }
    return PackageURL("conda", None, package.name, package.version, qualifiers)


def projects_of(package: LockedPackage, facts: Facts | None) -> tuple[Project, ...]:
    """The PyPI projects in a conda package."""
    if package.manager != "conda":
        return ()
    found = {one.purl: one for one in _by_metadata(facts)} if facts else {}
    sources = {one.name: one for one in _by_recipe(facts)} if facts else {}
    if found:
        return tuple(_with_source(found[purl], sources) for purl in sorted(found, key=str))
    return tuple(sources.values()) or _by_name(package, facts)


def _by_metadata(facts: Facts) -> list[Project]:
    return [
        Project(name=one.name, version=one.version, evidence="metadata", path=one.path)
        for one in facts.inner
        if one.name
    ]


def _by_recipe(facts: Facts) -> list[Project]:
    found = []
    for source in facts.sources:
        parts = urlsplit(source.url)
        if parts.hostname not in _INDEXES:
            continue
        try:
            name, version = parse_sdist_filename(unquote(parts.path.rpartition("/")[2]))
        except InvalidSdistFilename:
            continue
        found.append(Project(name=name, version=str(version), evidence="recipe", url=source.url, sha256=source.sha256))
    return found


def _with_source(project: Project, sources: Mapping[str, Project]) -> Project:
    source = sources.get(project.name)
    if source is None:
        return project
    return Project(
        name=project.name,
        version=project.version,
        evidence=project.evidence,
        path=project.path,
        url=source.url,
        sha256=source.sha256,
    )


def _by_name(package: LockedPackage, facts: Facts | None) -> tuple[Project, ...]:
    """For a Python package that is not in the cache, or has no metadata: the project by the package's name."""
    depends = {
        re.split(r"[ =<>!~]", one, maxsplit=1)[0] for one in (*package.depends, *(facts.depends if facts else ()))
    }
    if not {"python", "python_abi"} & depends:
        return ()
    # Not the newest table, so that the result does not depend on the day.
    name = project_names(refresh=False).get(canonicalize_name(package.name), canonicalize_name(package.name))
    return (Project(name=name, version=package.version, evidence="name"),)


def generic_purl(package: LockedPackage, facts: Facts | None) -> PackageURL | None:
    """A package URL from the location of its source; None if that is not known."""
    source = facts.sources[0] if facts and facts.sources else None
    if source is None:
        return None
    qualifiers = {"download_url": source.url}
    if re.fullmatch(r"[0-9a-f]{64}", source.sha256):
        qualifiers["checksum"] = f"sha256:{source.sha256}"
    return PackageURL("generic", None, package.name, package.version, qualifiers)

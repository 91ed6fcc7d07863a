"""The components of an SBOM, and which of them can be looked up in a dump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from bundler.sbom.components import ROLE

if TYPE_CHECKING:
    from bundler.sbom.read import Entry, Sbom

__all__ = ["Found", "Holder", "components_of"]


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A locked package, or one that is ``injected``: the project's own file, which is in no index."""

    name: str
    version: str
    file: str
    injected: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A component, and the packages that contain it. ``project`` is empty if it does not come from PyPI.

    ``by_name``: the project is only inferred from a conda package's name.
    """

    name: str
    version: str
    project: str
    holders: tuple[Holder, ...]
    by_name: bool = False

    @property
    def injected(self) -> bool:
        """Whether any copy of it is the project's own, which no dump can cover."""
        return any(holder.injected for holder in self.holders)


def components_of(sbom: Sbom) -> tuple[Found, ...]:
    """All packages and what they contain; a conda package of PyPI projects counts as these projects."""
    components = {one.ref: one for one in sbom.components}
    within = {one.ref for one in sbom.components if one.said(ROLE) == "inside"}
    inside = {edge.ref: [ref for ref in edge.depends_on if ref in within] for edge in sbom.dependencies}
    holders: dict[str, list[Holder]] = {}
    for reference, one in components.items():
        if reference in within:
            continue
        holder = Holder(
            name=one.name,
            version=one.version,
            file=one.said("conda-bundler:file"),
            injected=one.said("conda-bundler:injected") == "true",
        )
        parts = inside.get(reference, [])
        of_pypi = any(_project(components[part]) for part in parts)
        for part in parts if of_pypi or _project(one) else ():
            holders.setdefault(part, []).append(holder)
        if _project(one) or not of_pypi:
            holders.setdefault(reference, []).append(holder)
    return tuple(_found(components[reference], tuple(ones)) for reference, ones in sorted(holders.items()))


def _found(one: Entry, holders: tuple[Holder, ...]) -> Found:
    return Found(
        name=one.name,
        version=one.version,
        project=_project(one),
        holders=holders,
        by_name=one.said("conda-bundler:evidence") == "name",
    )


def _project(one: Entry) -> str:
    try:
        purl = PackageURL.from_string(one.purl)
    except ValueError:
        return ""
    return canonicalize_name(purl.name) if purl.type == "pypi" else ""

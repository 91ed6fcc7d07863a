"""The components of an SBOM, from locked packages.

A conda package is a component, and so is each PyPI project in it: scanners look at a component's only package URL, and
ignore ``pkg:conda``. The conda package depends on the components that it contains.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cyclonedx.model import (
    AttachedText,
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from packageurl import PackageURL

from bundler.licenses.expression import NO_LICENSE, normalize
from bundler.sbom.cpe import cpe_of
from bundler.sbom.identify import channel_name, generic_purl, package_purl, projects_of, public
from bundler.sbom.merge import Part, UnreadSbom, parts_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.about.facts import Facts, Library, Text
    from bundler.locked import LockedPackage
    from bundler.sbom.identify import Project
    from bundler.sbom.subject import Subject

__all__ = ["ROLE", "Parts"]

ROLE = "conda-bundler:role"
"""The property with a component's role: ``package``, ``tool`` or ``inside`` (a package)."""


class Parts:
    """All components. ``main`` maps packages to their own, ``inside`` to those that they contain; ``projects`` maps
    names of PyPI projects to the packages that contain them.
    """

    def __init__(self, subject: Subject) -> None:
        self.main: dict[LockedPackage, Component] = {}
        self.inside: dict[LockedPackage, tuple[Component, ...]] = {}
        self.projects: dict[str, LockedPackage] = {}
        self._known: dict[str, Component] = {}
        for package in dict.fromkeys((*subject.packages, *subject.tools)):
            facts = subject.facts.get(package)
            role = "package" if package in subject.packages else "tool"
            self.main[package] = self._kept(_component(package, facts, role))
            projects = projects_of(package, facts)
            self.projects |= {one.name: package for one in projects if package in subject.packages}
            inside = [_project_component(one, package, facts) for one in projects]
            if not projects and (purl := _generic(package, facts)):
                inside.append(_generic_component(purl, package, facts))
            inside += _merged(package, facts)
            kept = (self._kept(one) for one in inside)
            self.inside[package] = tuple(one for one in dict.fromkeys(kept) if one is not self.main[package])

    @property
    def all(self) -> list[Component]:
        """Each once."""
        return list(self._known.values())

    def _kept(self, component: Component) -> Component:
        """The existing component with that reference, if any; two packages may contain the same component."""
        return self._known.setdefault(str(component.bom_ref.value), component)


def _component(package: LockedPackage, facts: Facts | None, role: str) -> Component:
    purl = package_purl(package)
    conda = package.manager == "conda"
    properties = {ROLE: role, "conda-bundler:manager": package.manager, "conda-bundler:file": package.filename}
    properties |= {"conda-bundler:injected": "true"} if package.injected else {}
    if facts and normalize(facts.license).expression != facts.license:
        properties["conda-bundler:license-as-said"] = facts.license or "none"
    properties |= {} if facts else {"conda-bundler:archive": "not at hand: licenses and contents are not known"}
    for name in _unread(facts):
        properties["conda-bundler:sbom-not-read"] = name
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=purl.to_string(),
        purl=purl,
        cpe=(cpe_of(package.name, package.version) if conda else "") or None,
        supplier=_supplier(package),
        publisher=(facts.maker if facts else "") or None,
        description=(facts.summary if facts else "") or None,
        hashes=[
            HashType(alg=algorithm, content=digest)
            for algorithm, digest in ((HashAlgorithm.SHA_256, package.sha256), (HashAlgorithm.MD5, package.md5))
            if digest
        ],
        licenses=_licenses(facts),
        evidence=_evidence(facts.texts) if facts and facts.texts else None,
        external_references=_references(package, facts),
        properties=[Property(name=name, value=value) for name, value in sorted(properties.items())],
    )


def _supplier(package: LockedPackage) -> OrganizationalEntity:
    """Who distributes the package: a channel, an index, or the project that builds the bundle."""
    if package.injected:
        return OrganizationalEntity(name="the bundle's own project")
    if package.manager == "conda":
        urls = [XsUri(package.channel)] if public(package.channel) else []
        return OrganizationalEntity(name=channel_name(package) or "unknown", urls=urls)
    return OrganizationalEntity(name=urlsplit(package.url).hostname or "unknown")


def _licenses(facts: Facts | None) -> list[LicenseExpression]:
    found = normalize(facts.license) if facts else NO_LICENSE
    return [LicenseExpression(found.expression)] if found.expression else []


def _evidence(texts: tuple[Text, ...]) -> ComponentEvidence:
    """License texts by their files' names, since nothing says which license of the expression each belongs to."""
    return ComponentEvidence(
        licenses=[
            DisjunctiveLicense(name=one.name, text=AttachedText(content=one.text) if one.text else None)
            for one in texts
        ]
    )


def _references(package: LockedPackage, facts: Facts | None) -> list[ExternalReference]:
    url = public(package.url.split("#", maxsplit=1)[0])
    pairs = [(ExternalReferenceType.DISTRIBUTION, url)] if url and not package.injected else []
    pairs += [(ExternalReferenceType.WEBSITE, facts.homepage)] if facts and facts.homepage else []
    found = [ExternalReference(type=kind, url=XsUri(address)) for kind, address in pairs]
    for source in facts.sources if facts else ():
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=source.sha256)] if len(source.sha256) == 64 else []
        found.append(
            ExternalReference(type=ExternalReferenceType.SOURCE_DISTRIBUTION, url=XsUri(source.url), hashes=hashes)
        )
    return found


def _project_component(project: Project, package: LockedPackage, facts: Facts | None) -> Component:
    properties = {
        ROLE: "inside",
        "conda-bundler:evidence": project.evidence,
        "conda-bundler:within": package_purl(package).to_string(),
    }
    properties |= {"conda-bundler:path": project.path} if project.path else {}
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=project.sha256)] if len(project.sha256) == 64 else []
    reference = ExternalReference(
        type=ExternalReferenceType.SOURCE_DISTRIBUTION, url=XsUri(project.url or "https://pypi.org/"), hashes=hashes
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=project.name,
        version=project.version,
        bom_ref=project.purl.to_string(),
        purl=project.purl,
        supplier=_supplier(package),
        licenses=_licenses(facts),
        external_references=[reference] if project.url else [],
        properties=[Property(name=name, value=value) for name, value in sorted(properties.items())],
    )


def _generic(package: LockedPackage, facts: Facts | None) -> PackageURL | None:
    if package.manager != "conda":
        return None
    found = generic_purl(package, facts)
    well_known = cpe_of(package.name, package.version)
    return found or (PackageURL("generic", None, package.name, package.version) if well_known else None)


def _generic_component(purl: PackageURL, package: LockedPackage, facts: Facts | None) -> Component:
    within = package_purl(package).to_string()
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        bom_ref=purl.to_string(),
        purl=purl,
        cpe=cpe_of(package.name, package.version) or None,
        supplier=_supplier(package),
        licenses=_licenses(facts),
        properties=[Property(name=ROLE, value="inside"), Property(name="conda-bundler:within", value=within)],
    )


def _merged(package: LockedPackage, facts: Facts | None) -> Iterator[Component]:
    within = package_purl(package).to_string()
    named: set[str] = set()
    for sbom in facts.sboms if facts else ():
        try:
            parts = parts_in(sbom.text)
        except UnreadSbom:
            continue  # it is the package's own component
        named |= {part.name for part in parts}
        yield from (_part_component(part, within, sbom.name) for part in parts)
    for library in facts.libraries if facts else ():
        if _library_name(library) not in named:
            yield _library_component(library, within)


def _library_name(library: Library) -> str:
    """``scipy.libs/libgfortran-040039e1.so.5`` -> ``libgfortran``: auditwheel appends a digest to the name."""
    stem = library.path.rpartition("/")[2].partition(".so")[0]
    return re.sub(r"-[0-9a-f]{8}$", "", stem)


def _library_component(library: Library, within: str) -> Component:
    """A library that is in no SBOM of the wheel, so its version is unknown."""
    return Component(
        type=ComponentType.LIBRARY,
        name=_library_name(library),
        bom_ref=_inner_ref(within, library.path),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=library.sha256)] if library.sha256 else [],
        properties=[
            Property(name=ROLE, value="inside"),
            Property(name="conda-bundler:path", value=library.path),
            Property(name="conda-bundler:within", value=within),
        ],
    )


def _part_component(part: Part, within: str, file: str) -> Component:
    license_ = normalize(part.license)
    return Component(
        type=ComponentType.LIBRARY,
        name=part.name,
        version=part.version or None,
        bom_ref=f"{within}#{part.purl}" if part.purl else _inner_ref(within, f"{part.name}@{part.version}"),
        purl=PackageURL.from_string(part.purl) if part.purl else None,
        cpe=part.cpe or None,
        hashes=[HashType(alg=HashAlgorithm(name), content=digest) for name, digest in part.hashes],
        licenses=[LicenseExpression(license_.expression)] if license_.expression else [],
        properties=[
            Property(name=ROLE, value="inside"),
            Property(name="conda-bundler:sbom", value=file),
            Property(name="conda-bundler:within", value=within),
        ],
    )


def _inner_ref(within: str, name: str) -> str:
    """The reference of a component without a purl, which must not look like one: scanners would use it."""
    return f"inside:{within}#{name}"


def _unread(facts: Facts | None) -> Iterator[str]:
    for sbom in facts.sboms if facts else ():
        try:
            parts_in(sbom.text)
        except UnreadSbom:
            yield sbom.name

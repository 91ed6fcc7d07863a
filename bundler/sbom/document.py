"""Write an SBOM as CycloneDX JSON, in the newest version that the library supports. The output is reproducible.

It has all of CISA's 2025 Minimum Elements: author, producer or supplier, name, version, identifiers, digest, license,
dependencies, tool, timestamp and lifecycle phase.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot7
from packageurl import PackageURL

from bundler import __version__
from bundler.resources import cache_dir
from bundler.sbom.components import Parts
from bundler.sbom.graph import needs, roots
from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from bundler.locked import LockedPackage
    from bundler.sbom.subject import Subject

__all__ = ["make_sbom", "timestamp_of"]

_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562: for URLs
_FORM = 3
"""Increased when the same subject yields a different document, so that cached ones are not used."""
_EARLIEST = 315532800
"""1980-01-01, if no time is known."""


def make_sbom(subject: Subject) -> bytes:
    """The document, with a final line break. It takes a second for some hundreds of packages, so it is cached."""
    kept = cache_dir("sbom") / f"{_serial(subject)}.json"
    found = read_sealed(kept)
    if found is None:
        found = _make_sbom(subject)
        write_sealed(kept, found)
    return found


def _make_sbom(subject: Subject) -> bytes:
    whole = _whole(subject)
    parts = Parts(subject)
    bom = Bom(components=parts.all, serial_number=_serial(subject), metadata=_metadata(subject, whole))
    graph = _graph(subject, parts)
    top = {one for one in roots(graph) if one not in subject.tools} | set(subject.tools)
    bom.register_dependency(whole, sorted(parts.main[one] for one in top))
    for package, needed in graph.items():
        inside = parts.inside[package]
        bom.register_dependency(parts.main[package], sorted({*inside, *(parts.main[one] for one in needed)}))
        for one in inside:
            bom.register_dependency(one)
    text = JsonV1Dot7(bom).output_as_string(indent=1)
    return (text + "\n").encode()


def timestamp_of(subject: Subject) -> int:
    """``SOURCE_DATE_EPOCH``, or else the build time of the newest package; never the current time."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        return int(given)
    return max((about.timestamp for about in subject.facts.values() if about and about.timestamp), default=_EARLIEST)


def _whole(subject: Subject) -> Component:
    purl = PackageURL("generic", None, subject.name, subject.version or None)
    return Component(
        type=ComponentType.APPLICATION,
        name=subject.name,
        version=subject.version or None,
        bom_ref=f"{purl.to_string()}#{subject.platform}",
        purl=purl,
        description=subject.description or None,
        supplier=OrganizationalEntity(name=subject.author) if subject.author else None,
        properties=[
            Property(name=f"conda-bundler:{name}", value=value)
            for name, value in (("platform", subject.platform), *subject.properties)
        ],
    )


def _metadata(subject: Subject, whole: Component) -> BomMetaData:
    author = subject.author or "conda-bundler"
    tool = Component(
        type=ComponentType.APPLICATION,
        name="conda-bundler",
        version=__version__,
        bom_ref=f"conda-bundler@{__version__}",
        purl=PackageURL("pypi", None, "conda-bundler", __version__),
    )
    return BomMetaData(
        component=whole,
        tools=ToolRepository(components=[tool]),
        authors=[OrganizationalContact(name=author)],
        manufacturer=OrganizationalEntity(name=author),
        timestamp=datetime.fromtimestamp(timestamp_of(subject), timezone.utc),
        lifecycles=[PredefinedLifecycle(LifecyclePhase(subject.phase))],
    )


def _graph(subject: Subject, parts: Parts) -> dict[LockedPackage, tuple[LockedPackage, ...]]:
    graph = needs(subject.packages, subject.facts, parts.projects)
    own = needs(subject.tools, subject.facts, {})
    return graph | {package: needed for package, needed in own.items() if package not in graph}


def _serial(subject: Subject) -> uuid.UUID:
    """A serial number that depends on the content."""
    every = (*subject.packages, *subject.tools)
    content = {
        "subject": [
            subject.name,
            subject.version,
            subject.platform,
            subject.phase,
            subject.author,
            subject.description,
        ],
        "properties": subject.properties,
        "packages": [asdict(package) for package in every],
        "facts": [about.document() if (about := subject.facts.get(package)) else None for package in every],
        "time": timestamp_of(subject),
        "tool": __version__,
        "form": _FORM,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return uuid.uuid5(_SPACE, f"urn:conda-bundler:sbom:{digest}")

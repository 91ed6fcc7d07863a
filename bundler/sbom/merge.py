"""Read the SBOMs in wheels (PEP 770), CycloneDX or SPDX as JSON: the parts that they list.

They are the only record of the shared libraries that a wheel bundles (auditwheel writes it). Only what identifies a
part is used: name, version, package URL, CPE, license and digests.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packageurl import PackageURL

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Part", "UnreadSbom", "parts_in"]

_MOST = 10_000
_ALGORITHMS = {"SHA-256": 64, "SHA-384": 96, "SHA-512": 128}


class UnreadSbom(ValueError):  # noqa: N818 -- never shown: the SBOM says which file was not read
    """Neither CycloneDX nor SPDX 2 as JSON."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part in such an SBOM; ``hashes`` are pairs of an algorithm (CycloneDX's name) and a digest."""

    name: str
    version: str = ""
    purl: str = ""
    cpe: str = ""
    license: str = ""
    hashes: tuple[tuple[str, str], ...] = ()


def parts_in(text: str) -> tuple[Part, ...]:
    """The parts, each once. Raises :class:`UnreadSbom`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadSbom("no JSON") from error
    if isinstance(document, dict) and document.get("bomFormat") == "CycloneDX":
        found = _cyclonedx(document.get("components"))
    elif isinstance(document, dict) and str(document.get("spdxVersion")).startswith("SPDX-2"):
        found = _spdx(document)
    else:
        raise UnreadSbom("neither CycloneDX nor SPDX 2")
    return tuple(dict.fromkeys(found))[:_MOST]


def _cyclonedx(components: Any) -> Iterator[Part]:
    pending = _objects(components)[::-1]
    while pending:
        one = pending.pop()
        pending += _objects(one.get("components"))[::-1]
        if name := _text(one.get("name")):
            yield Part(
                name=name,
                version=_text(one.get("version")),
                purl=_purl(one.get("purl")),
                cpe=_cpe(one.get("cpe")),
                license=" AND ".join(filter(None, map(_license, _objects(one.get("licenses"))))),
                hashes=tuple(sorted(_hashes(_objects(one.get("hashes")), "alg", "content"))),
            )


def _spdx(document: dict[str, Any]) -> Iterator[Part]:
    described = {_text(one) for one in document.get("documentDescribes") or () if isinstance(one, str)}
    for one in _objects(document.get("packages")):
        name = _text(one.get("name"))
        if not name or one.get("SPDXID") in described:  # the wheel itself
            continue
        said = [_text(one.get(key)) for key in ("licenseConcluded", "licenseDeclared")]
        references = {
            _text(ref.get("referenceType")): _text(ref.get("referenceLocator"))
            for ref in _objects(one.get("externalRefs"))
        }
        yield Part(
            name=name,
            version=_text(one.get("versionInfo")),
            purl=_purl(references.get("purl")),
            cpe=_cpe(references.get("cpe23Type")),
            license=next((text for text in said if text and text not in ("NOASSERTION", "NONE")), ""),
            hashes=tuple(sorted(_hashes(_objects(one.get("checksums")), "algorithm", "checksumValue"))),
        )


def _license(choice: dict[str, Any]) -> str:
    inner = choice.get("license")
    said = inner.get("id") or inner.get("name") if isinstance(inner, dict) else choice.get("expression")
    return _text(said)


def _hashes(listed: list[dict[str, Any]], algorithm: str, content: str) -> Iterator[tuple[str, str]]:
    for one in listed:
        name = re.sub(r"^SHA-?", "SHA-", _text(one.get(algorithm)).upper())
        digest = _text(one.get(content)).lower()
        if re.fullmatch(rf"[0-9a-f]{{{_ALGORITHMS.get(name, 0)}}}", digest) and digest:
            yield name, digest


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _purl(value: Any) -> str:
    try:
        return PackageURL.from_string(_text(value)).to_string() if value else ""
    except ValueError:
        return ""


def _cpe(value: Any) -> str:
    text = _text(value)
    return text if re.fullmatch(r"cpe:2\.3:[aho](:[!-9;-~]*(\\:[!-9;-~]*)*){10}", text) else ""

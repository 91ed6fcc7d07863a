"""A bundle's manifest and SBOM -> a card for each package: what it is, who needs it, and under which license.

The SBOM is somebody else's bytes: what in it is not as we write it says nothing, and does no harm.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.inventory import take_inventory
from bundler.sbom.components import ROLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.bundle.entries import PackageEntry
    from bundler.bundle.index import Manifest
    from bundler.report.sizes import Share

__all__ = ["Card", "License", "cards_of", "licenses_of"]

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A package; ``needs``, ``needed_by`` and ``because`` are numbers of cards.

    ``because`` leads from a package that nobody needs to this one. ``inside`` is what was found in it; ``texts`` are
    those of its licenses, by their files' names. ``unpacked`` is None if the payload was not read.
    """

    number: int
    entry: PackageEntry
    packed: int
    unpacked: int | None
    license: str
    summary: str
    needs: tuple[int, ...]
    needed_by: tuple[int, ...]
    because: tuple[int, ...]
    inside: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]

    @property
    def origin(self) -> str:
        """The channel, or the server of an index; of a channel on the building machine no more than its name."""
        channel, subdir = self.entry.channel, self.entry.subdir
        name = channel if channel.startswith(("http://", "https://")) else channel.rpartition("/")[2]
        return "/".join(filter(None, (name, subdir)))


@dataclass(frozen=True, kw_only=True)
class License:
    """An expression and the packages that have it; ``known`` is false where nobody says, or in no known words."""

    expression: str
    known: bool
    packages: tuple[Card, ...]


def cards_of(path: Path, manifest: Manifest, shares: Sequence[Share] = ()) -> tuple[Card, ...]:
    """One for each package, in the manifest's order. Raises what :func:`~bundler.inventory.take_inventory` raises."""
    components = _components(path) if manifest.sbom else {}
    numbers = {package.key: number for number, package in enumerate(manifest.packages)}
    references = {
        one["bom-ref"]: numbers[key] for key, (one, _) in components.items() if key in numbers and "bom-ref" in one
    }
    needs = [
        tuple(sorted({references[ref] for ref in components[package.key][1] if ref in references} - {number}))
        if package.key in components
        else ()
        for number, package in enumerate(manifest.packages)
    ]
    packed, unpacked = manifest.packed(), {share.key: share.size for share in shares}
    because = _chains(needs)
    return tuple(
        Card(
            number=number,
            entry=package,
            packed=packed.get(package.key, 0),
            unpacked=unpacked.get(package.key, 0) if shares else None,
            license=_license(_component(components, package)),
            summary=_text(_component(components, package).get("description")),
            needs=needs[number],
            needed_by=tuple(other for other, needed in enumerate(needs) if number in needed),
            because=because[number],
            inside=_inside(components, package),
            texts=tuple(_texts(_component(components, package))),
        )
        for number, package in enumerate(manifest.packages)
    )


def licenses_of(cards: Sequence[Card]) -> tuple[License, ...]:
    """What is not known first, then what most packages have."""
    found: dict[str, list[Card]] = {}
    for card in cards:
        found.setdefault(card.license or UNKNOWN, []).append(card)
    licenses = (
        License(
            expression=expression,
            known=expression != UNKNOWN and "LicenseRef-" not in expression,
            packages=tuple(packages),
        )
        for expression, packages in found.items()
    )
    return tuple(sorted(licenses, key=lambda one: (one.known, -len(one.packages), one.expression)))


_Components = dict[str, tuple[dict[str, Any], list[str]]]


def _components(path: Path) -> _Components:
    """Each package's component and what it depends on, by the package's key."""
    sbom = _object(json.loads(take_inventory(path).document))
    needs = {
        _text(edge.get("ref")): [one for one in _list(edge.get("dependsOn")) if isinstance(one, str)]
        for edge in map(_object, _list(sbom.get("dependencies")))
    }
    every = {_text(one.get("bom-ref")): one for one in map(_object, _list(sbom.get("components")))}
    found: _Components = {}
    for reference, one in every.items():
        if _said(one, ROLE) != "package":
            continue
        manager, name = _said(one, "conda-bundler:manager"), _text(one.get("name"))
        found[name if manager == "conda" else f"{manager}:{name}"] = (one, needs.get(reference, []))
        one["inside"] = [
            f"{_text(part.get('name'))} {_text(part.get('version'))}".rstrip()
            for ref in needs.get(reference, [])
            if _said(part := every.get(ref, {}), ROLE) == "inside"
        ]
    return found


def _component(components: _Components, package: PackageEntry) -> dict[str, Any]:
    return components[package.key][0] if package.key in components else {}


def _inside(components: _Components, package: PackageEntry) -> tuple[str, ...]:
    own = f"{package.name} {package.version}"
    return tuple(one for one in _component(components, package).get("inside", ()) if one != own)


def _chains(needs: Sequence[tuple[int, ...]]) -> Mapping[int, tuple[int, ...]]:
    """The shortest way to each from one that nobody needs; of circles that nobody needs the first is such a one."""
    needed = {one for ones in needs for one in ones}
    found: dict[int, tuple[int, ...]] = {}
    for start in (*(number for number in range(len(needs)) if number not in needed), *range(len(needs))):
        if start in found and start in needed:
            continue
        found[start] = (start,)
        pending = deque([start])
        while pending:
            one = pending.popleft()
            for other in needs[one]:
                if other not in found or len(found[other]) > len(found[one]) + 1:
                    found[other] = (*found[one], other)
                    pending.append(other)
    return found


def _license(one: dict[str, Any]) -> str:
    choices = [_object(choice) for choice in _list(one.get("licenses"))]
    return " AND ".join(filter(None, (_text(choice.get("expression")) for choice in choices)))


def _texts(one: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for choice in map(_object, _list(_object(one.get("evidence")).get("licenses"))):
        said = _object(choice.get("license"))
        text = _object(said.get("text")).get("content")
        if isinstance(text, str) and text.strip():
            found.append((_text(said.get("name")), text))
    return found


def _said(one: dict[str, Any], name: str) -> str:
    listed = map(_object, _list(one.get("properties")))
    return next((_text(said.get("value")) for said in listed if said.get("name") == name), "")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

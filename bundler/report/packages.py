"""A bundle's manifest and SBOM -> a card for each package: what it is, who needs it, and under which license."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.inventory import take_inventory
from bundler.sbom.components import ROLE
from bundler.sbom.read import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.bundle.entries import PackageEntry
    from bundler.bundle.index import Manifest
    from bundler.report.sizes import Share
    from bundler.sbom.read import Sbom

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
    parts = _parts(take_inventory(path).sbom) if manifest.sbom else {}
    described = [parts.get(package.key, _Part()) for package in manifest.packages]
    numbers = {part.component.ref: number for number, part in enumerate(described) if part.component is not _UNKNOWN}
    needs = [
        tuple(sorted({numbers[ref] for ref in part.needs if ref in numbers} - {number}))
        for number, part in enumerate(described)
    ]
    packed, unpacked = manifest.packed(), {share.key: share.size for share in shares}
    because = _chains(needs)
    return tuple(
        Card(
            number=number,
            entry=package,
            packed=packed.get(package.key, 0),
            unpacked=unpacked.get(package.key, 0) if shares else None,
            license=part.component.license,
            summary=part.component.description,
            needs=needs[number],
            needed_by=tuple(other for other, needed in enumerate(needs) if number in needed),
            because=because[number],
            inside=tuple(one for one in part.inside if one != f"{package.name} {package.version}"),
            texts=part.component.texts,
        )
        for number, (package, part) in enumerate(zip(manifest.packages, described, strict=True))
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


_UNKNOWN = Entry(ref="unknown", name="unknown")
"""Of a package that the SBOM does not list."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A package in the SBOM; ``needs`` are references, ``inside`` the names and versions of what was found in it."""

    component: Entry = _UNKNOWN
    needs: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()


def _parts(sbom: Sbom) -> dict[str, _Part]:
    """By the package's key."""
    needs = {edge.ref: edge.depends_on for edge in sbom.dependencies}
    inside = {one.ref: f"{one.name} {one.version}".rstrip() for one in sbom.components if one.said(ROLE) == "inside"}
    found = {}
    for one in sbom.components:
        if one.said(ROLE) == "package":
            manager, needed = one.said("conda-bundler:manager"), needs.get(one.ref, ())
            found[one.name if manager == "conda" else f"{manager}:{one.name}"] = _Part(
                component=one, needs=needed, inside=tuple(inside[ref] for ref in needed if ref in inside)
            )
    return found


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

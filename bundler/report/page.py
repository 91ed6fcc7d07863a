"""`inspect --html`: a bundle -> its page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bundler.printable import counted
from bundler.reader.inspect import inspect, note_text
from bundler.reader.open import open_bundle
from bundler.reader.telling import size
from bundler.report.packages import cards_of, licenses_of
from bundler.report.render import render
from bundler.report.rights import rights
from bundler.report.sizes import APP, FITTED, shares_of
from bundler.report.treemap import Block, draw
from bundler.sharing.shared import described

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundler.audit.report import Audit
    from bundler.bundle.entries import ServiceEntry
    from bundler.progress import Progress
    from bundler.reader.inspect import Inspection
    from bundler.report.rights import Right
    from bundler.report.sizes import Share
    from bundler.report.treemap import Map
    from bundler.units.read import UnitText

__all__ = ["Confined", "confined_units", "inspect_page"]

_BLOCKS = 40
_WIDE, _NARROW = (1100, 620), (380, 560)
"""A map for screens, and one for phones, which would show the other too small to be read."""


@dataclass(frozen=True, kw_only=True)
class Confined:
    """A unit that runs something, and ``facts`` of it, pairs of a word and a value. ``like`` is another one that is
    confined in the same way: its rights are not told again. ``own``: it is a service's, and not one beside it.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    rights: tuple[Right, ...]
    like: str = ""
    own: bool = True

    @property
    def loosened(self) -> int:
        return sum(right.loosened for right in self.rights)


def inspect_page(path: Path, progress: Progress, audit: Audit | None = None) -> bytes:
    """The same bundle, the same bytes. Raises what reading a bundle and its payload raises."""
    found = inspect(path)
    shares = shares_of(open_bundle(path), progress)
    cards = cards_of(path, found.manifest, shares)
    return render(
        "inspect",
        {
            "found": found,
            "manifest": found.manifest,
            "tiles": _tiles(found, audit),
            "maps": maps(shares),
            "shares": [(_called(one.key), one) for one in shares],
            "services": confined_units(found),
            "units": [unit for unit in found.units if not unit.is_service],
            "cards": cards,
            "licenses": licenses_of(cards),
            "audit": audit,
            "described": described,
            "note_text": note_text,
        },
    )


def maps(shares: Sequence[Share]) -> tuple[Map, Map]:
    """For wide screens and for narrow ones."""
    blocks = [Block(name=_called(one.key), size=one.size, parts=one.directories) for one in shares[:_BLOCKS]]
    rest = shares[_BLOCKS:]
    if rest:
        parts = tuple((_called(one.key), one.size) for one in rest)
        blocks.append(Block(name=counted(len(rest), "other"), size=sum(one.size for one in rest), parts=parts))
    return draw(blocks, *_WIDE), draw(blocks, *_NARROW)


def confined_units(found: Inspection) -> tuple[Confined, ...]:
    """Those of services, first the services' own."""
    seen: dict[tuple[Any, ...], str] = {}
    own = {service.unit for service in found.manifest.services}
    units = []
    for unit in (unit for unit in found.units if unit.is_service):
        said = rights(unit, partial(found.reason, unit))
        like = seen.setdefault(said, unit.name)
        other = like if like != unit.name else ""
        facts = tuple(_facts(found, unit))
        units.append(Confined(name=unit.name, facts=facts, rights=said, like=other, own=unit.name in own))
    return tuple(units)


def _facts(found: Inspection, unit: UnitText) -> list[tuple[str, str]]:
    rows = found.told_of(unit)
    owner = next((one for one in found.manifest.services if one.unit == unit.name), None)
    return [*rows, *(_of_service(owner) if owner else ())]


def _of_service(service: ServiceEntry) -> list[tuple[str, str]]:
    health = service.health or {}
    asked = [health[kind] for kind in ("http", "tcp", "command") if health.get(kind)]
    rows = [("health", one if isinstance(one, str) else " ".join(map(str, one))) for one in asked]
    rows += [("listens", f"systemd, at {service.socket.listen}")] if service.socket else []
    rows += [("profile", service.profile)] if service.profile else []
    return rows


def _tiles(found: Inspection, audit: Audit | None) -> list[tuple[str, str, str]]:
    """What comes first: a number, what it counts, and its kind."""
    manifest, payload = found.manifest, found.manifest.payload
    tiles = [
        (str(len(manifest.packages)), "packages", ""),
        (size(payload.unpacked_size), "on the server", ""),
        (size(payload.size), "to carry", ""),
        (str(payload.files), "files", ""),
        (str(len(manifest.services)), "service" if len(manifest.services) == 1 else "services", ""),
    ]
    if audit is not None:
        number = sum(one.status != "ignored" for one in audit.findings)
        kind = "bad" if number else "good"
        tiles.append((str(number), "known vulnerability" if number == 1 else "known vulnerabilities", kind))
        tiles.append((str(len(audit.uncovered)), "not covered", "unsure" if audit.uncovered else "good"))
    return tiles


def _called(key: str) -> str:
    if key in (APP, FITTED):
        return "app/ (your own files)" if key == APP else key
    return key.removeprefix("pip:")

"""The content of an update: what a bundle has that earlier ones do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.bundle.segmentlist import has_contents
from bundler.pack.contents import NEVER_LINKED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.bundle.entries import SegmentEntry
    from bundler.bundle.index import Manifest

__all__ = ["Carried", "carried_from", "summed"]


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The number of packages in an update, ``of`` all of the bundle's, and the number of bytes of its payload."""

    packages: int
    of: int
    size: int


def carried_from(olds: Iterable[Manifest], new: Manifest) -> tuple[SegmentEntry, ...]:
    """The segments of ``new`` that not all of ``olds`` have."""
    common = set.intersection(*({segment.id for segment in old.payload.segments} for old in olds)) - {"", NEVER_LINKED}
    return tuple(segment for segment in new.payload.segments if segment.id not in common)


def summed(olds: Iterable[Manifest], new: Manifest) -> Carried | None:
    """The totals of these segments, without the closing lists; None if a manifest does not describe its segments."""
    olds = tuple(olds)
    if not all(has_contents(one.payload) for one in (*olds, new)):
        return None
    segments, packed = carried_from(olds, new), new.packed()
    last = new.payload.segments[-1:]
    return Carried(
        packages=sum(segment.name in packed for segment in segments),
        of=len(packed),
        size=sum(segment.length for segment in segments if segment not in last),
    )

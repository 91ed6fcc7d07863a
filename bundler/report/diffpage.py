"""`diff --html`: what changes from one bundle to the next -> its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.report.render import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.report.changes import Changes, PackageChange

__all__ = ["Bar", "bars", "diff_page"]

_WIDTH = 100.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """How large a package was and is, of the widest; ``common`` is what both have, ``rest`` what came or went."""

    common: float
    rest: float
    grows: bool


def diff_page(found: Changes) -> bytes:
    """The same bundles, the same bytes."""
    before, after = found.before.manifest, found.after.manifest
    kinds = [one.change.kind for one in found.packages]
    return render(
        "diff",
        {
            "found": found,
            "difference_": found.difference,
            "before": before,
            "after": after,
            "packages": list(zip(found.packages, bars(found.packages), strict=True)),
            "counts": [(kinds.count(kind), kind) for kind in ("added", "removed", "changed") if kind in kinds],
        },
    )


def bars(packages: Sequence[PackageChange]) -> list[Bar]:
    """One for each."""
    widest = max((max(one.old_size, one.new_size) for one in packages), default=0) or 1
    return [
        Bar(
            common=_WIDTH * min(one.old_size, one.new_size) / widest,
            rest=_WIDTH * abs(one.new_size - one.old_size) / widest,
            grows=one.new_size > one.old_size,
        )
        for one in packages
    ]

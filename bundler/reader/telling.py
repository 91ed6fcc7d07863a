"""Tables and sizes for people, and nothing in them that a terminal would obey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["columns", "difference", "size"]


def size(count: int) -> str:
    """``1234567`` bytes -> ``1.2 MB``, with the decimal units that disks and downloads are sold in."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 999.95:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def difference(old: int, new: int) -> str:
    """Two sizes, and by how much the second is larger."""
    sign = "+" if new > old else "-"
    return f"{size(new)}, unchanged" if new == old else f"{size(old)} -> {size(new)} ({sign}{size(abs(new - old))})"


def columns(rows: Sequence[Sequence[str]], *, indent: str = "  ", right: Iterable[int] = ()) -> list[str]:
    """Rows of the same length as aligned lines; the columns ``right`` are aligned to their right."""
    if not rows:
        return []
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [">" if number in set(right) else "<" for number in range(len(widths))]
    lines = (
        "  ".join(f"{cell:{at}{width}}" for cell, at, width in zip(row, places, widths, strict=True)) for row in rows
    )
    return [f"{indent}{line}".rstrip() for line in lines]

"""Sizes -> rectangles whose areas they are: a squarified treemap (Bruls, Huizing, van Wijk 2000) of two levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.reader.telling import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Block", "Box", "Cell", "Map", "draw", "squarify"]

_HEAD = 18.0
"""Height of a block's own label."""
_GAP = 1.5
_CHARACTER = 6.6
"""Width of a character of a label, in the map's units, on the safe side."""
_LINE = 15.0
COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    def inset(self, gap: float, head: float = 0.0) -> Box:
        """What is left inside of a margin, and of a strip at the top."""
        return Box(
            x=self.x + gap,
            y=self.y + gap + head,
            width=max(0.0, self.width - 2 * gap),
            height=max(0.0, self.height - 2 * gap - head),
        )


@dataclass(frozen=True, kw_only=True)
class Block:
    """Something with a size in bytes, which is that of its ``parts``, pairs of a name and a size."""

    name: str
    size: int
    parts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A rectangle of the drawing; ``label`` is empty where none fits. ``outer``: a block, on which its parts lie."""

    box: Box
    outer: bool
    colour: int
    label: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Map:
    width: int
    height: int
    cells: tuple[Cell, ...]


def squarify(sizes: Sequence[float], area: Box) -> list[Box]:
    """A box for each size, all of them positive, the largest first; together they are ``area``."""
    found: list[Box] = []
    left = area
    rest = list(sizes)
    while rest:
        scale = left.width * left.height / sum(rest)
        side = min(left.width, left.height)
        count = 1
        while count < len(rest) and _worst(rest[: count + 1], scale, side) <= _worst(rest[:count], scale, side):
            count += 1
        row, rest = rest[:count], rest[count:]
        boxes, left = _laid(row, left, depth=sum(row) * scale / side if side else 0.0, last=not rest)
        found += boxes
    return found


def _worst(row: Sequence[float], scale: float, side: float) -> float:
    """The ratio of the sides of the row's least square box."""
    total = sum(row) * scale
    if not total or not side:
        return float("inf")
    return max(side**2 * max(row) * scale / total**2, total**2 / (side**2 * min(row) * scale))


def _laid(row: Sequence[float], area: Box, *, depth: float, last: bool) -> tuple[list[Box], Box]:
    """The row's boxes along the shorter side, and what is left of the area."""
    along = area.width <= area.height
    side, depth = (
        (area.width, area.height if last else depth) if along else (area.height, area.width if last else depth)
    )
    boxes, at = [], 0.0
    for one in row:
        length = side * one / sum(row)
        boxes.append(
            Box(x=area.x + at, y=area.y, width=length, height=depth)
            if along
            else Box(x=area.x, y=area.y + at, width=depth, height=length)
        )
        at += length
    rest = (
        Box(x=area.x, y=area.y + depth, width=area.width, height=area.height - depth)
        if along
        else Box(x=area.x + depth, y=area.y, width=area.width - depth, height=area.height)
    )
    return boxes, rest


def draw(blocks: Sequence[Block], width: int, height: int) -> Map:
    """Blocks and their parts; those without a size are left out."""
    shown = sorted((one for one in blocks if one.size > 0), key=lambda one: (-one.size, one.name))
    boxes = squarify([one.size for one in shown], Box(x=0, y=0, width=width, height=height))
    total = sum(one.size for one in shown)
    cells: list[Cell] = []
    for number, (block, box) in enumerate(zip(shown, boxes, strict=True)):
        cells += _cells(block, box.inset(_GAP / 2), number % COLOURS, total)
    return Map(width=width, height=height, cells=tuple(cells))


def _cells(block: Block, box: Box, colour: int, total: int) -> Iterator[Cell]:
    title = f"{block.name}: {size(block.size)}, {100 * block.size / total:.1f} % of all"
    label = _fitting((f"{block.name}  {size(block.size)}", block.name), box)
    yield Cell(box=box, outer=True, colour=colour, label=label, title=title)
    inside = box.inset(_GAP, _HEAD if label else 0.0)
    parts = sorted((part for part in block.parts if part[1] > 0), key=lambda part: (-part[1], part[0]))
    if len(parts) < 2 or inside.width < 12 or inside.height < 12:
        return
    for (name, count), one in zip(parts, squarify([part[1] for part in parts], inside), strict=True):
        cell = one.inset(_GAP / 2)
        short = name.removesuffix("/…").rpartition("/")[2]
        label = _fitting((f"{short}  {size(count)}", short), cell)
        yield Cell(box=cell, outer=False, colour=colour, label=label, title=f"{block.name}: {name}: {size(count)}")


def _fitting(labels: Sequence[str], box: Box) -> str:
    """The first that has space in the box."""
    if box.height < _LINE:
        return ""
    return next((one for one in labels if len(one) * _CHARACTER + 8 <= box.width), "")

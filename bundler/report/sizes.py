"""A payload -> how large each package is on the server, and its directories. It is read, and never written to disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundler.reader.open import translated
from bundler.reader.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.progress import Progress
    from bundler.reader.open import OpenBundle

__all__ = ["APP", "FITTED", "Share", "directories", "shares_of"]

APP = "app/"
FITTED = "fitted to the path, or conda-bundler's own"
_OWN = {"app/": APP, "baked": FITTED, "list": FITTED}
"""The payload's last three segments, of the build itself; all before them are packages, or directories."""
_LEAST = 0.02
"""Of a package: what is smaller is not a directory of its own here."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A package's part of the tree, by its key; or that of the user's own files, or of what is nobody's alone."""

    key: str
    size: int
    files: int
    directories: tuple[tuple[str, int], ...]


def shares_of(bundle: OpenBundle, progress: Progress, most: int = 12) -> tuple[Share, ...]:
    """The largest first. Raises :class:`~bundler.errors.VerificationError` if the payload cannot be read."""
    segments = bundle.manifest.payload.segments
    behind = tuple(one.name for one in segments[-len(_OWN) :]) == tuple(_OWN)
    found: dict[str, dict[str, int]] = {}
    with progress.task("Reading the payload", len(segments)) as done, translated(bundle.path):
        for number, segment in enumerate(segments):
            tree = Tree(bundle, part=True)
            with bundle.payload.open(segment.offset, segment.length) as source:
                tree.fill(source, last=number == len(segments) - 1)
            own = behind and number >= len(segments) - len(_OWN)
            if tree.entries:
                files = found.setdefault(_OWN[segment.name] if own else segment.name, {})
                files |= {entry.path: entry.size for entry in tree.entries}
            done(1)
    shares = (
        Share(key=key, size=sum(files.values()), files=len(files), directories=directories(files.items(), most))
        for key, files in found.items()
    )
    return tuple(sorted(shares, key=lambda one: (-one.size, one.key)))


@dataclass
class _Node:
    size: int = 0
    below: dict[str, _Node] = field(default_factory=dict)


def directories(files: Iterable[tuple[str, int]], most: int) -> tuple[tuple[str, int], ...]:
    """About ``most`` directories and files that have all of ``files`` between them: the largest are divided.

    What is small in a divided directory stands as ``directory/…``.
    """
    root = _Node()
    for path, count in files:
        node = root
        node.size += count
        for part in path.split("/"):
            node = node.below.setdefault(part, _Node())
            node.size += count
    shown = {"": root}
    while len(shown) < most:
        whole = {path: node for path, node in shown.items() if node.below}
        if not whole:
            break
        path = max(whole, key=lambda one: (whole[one].size, one))
        node = shown.pop(path)
        small = 0
        for name, child in node.below.items():
            if child.size >= _LEAST * root.size or len(node.below) == 1:
                shown[f"{path}/{name}" if path else name] = child
            else:
                small += child.size
        if small:
            shown[f"{path}/…" if path else "…"] = _Node(size=small)
    ordered = sorted(shown.items(), key=lambda one: (-one[1].size, one[0]))
    return tuple((path or "…", node.size) for path, node in ordered if node.size)

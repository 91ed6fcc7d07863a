"""``[channels] relations``: channels that name related ones in their repodata (CEP 42), and their priority.

rattler does not follow relations itself: related channels are validated here, and added like those in environment.yml.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "MAX_DEPTH",
    "Followed",
    "Relations",
    "RelationsError",
    "read_followed",
    "relations_record",
    "resolve_reference",
    "says_relations",
]

MAX_DEPTH = 10
"""The maximum length of a chain of relations, as recommended by the CEP."""


class RelationsError(Exception):
    """A channel's relations are invalid; one sentence."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """``channel`` was added because ``of`` names it as its ``relation``, ``base`` or ``overrides``. Both are URLs."""

    channel: str
    relation: str
    of: str

    def __str__(self) -> str:
        goes = "before" if self.relation == "base" else "behind"
        return f"{self.channel} ({goes} {self.of}, which names it)"


def resolve_reference(channel: str, reference: str) -> str:
    """The URL of the channel that ``channel``, a URL, refers to as ``reference``; always on the same server.

    Raises :class:`RelationsError` for anything but a path that begins with ``../`` and stays on the server.
    """
    wrong = RelationsError(f"channel {channel} refers to {reference!r}, which is not a path on its server")
    found = re.fullmatch(r"(\w[\w+.-]*://[^/]*)((?:/[^/]+)*)/?", channel)
    if not found or not re.fullmatch(r"\.\.(/(\.\.|[A-Za-z0-9_~+][A-Za-z0-9._~+-]*))*/?", reference):
        raise wrong
    path = found[2].split("/")[1:]
    for part in reference.rstrip("/").split("/"):
        if part != "..":
            path.append(part)
        elif not path:
            raise wrong
        else:
            path.pop()
    if not path:
        raise wrong
    return "/".join((found[1], *path))


_KEY = "conda-bundler.channel-relations"


def says_relations(record: Mapping[str, Any]) -> bool:
    """Whether relations were enabled for the lockfile with this :func:`~bundler.lock.recorded.recorded`."""
    return _KEY in record


def relations_record(
    followed: Mapping[str, Sequence[Followed]] | None, before: Mapping[str, Any]
) -> dict[str, str | None]:
    """The metadata of a lockfile for the relations ``followed`` on each platform; None if they are disabled.

    The existing metadata ``before`` is kept for other platforms.
    """
    if followed is None:
        return dict.fromkeys(name for name in before if name.startswith(_KEY))
    told = {f"{_KEY}.{platform}": ", ".join(map(str, found)) or None for platform, found in followed.items()}
    return {_KEY: "followed", **told}


def read_followed(directory: Path) -> dict[str, tuple[Followed, ...]]:
    """The relations that our solver has written there, by platform."""
    return {
        path.stem: tuple(Followed(**one) for one in json.loads(path.read_bytes()))
        for path in sorted(directory.glob("*.json"))
    }


@dataclass(kw_only=True)
class Relations:
    """Channels and their priorities. ``named`` are those of environment.yml in order, without duplicates."""

    named: Sequence[str]
    found: list[Followed] = field(default_factory=list)
    depth: dict[str, int] = field(default_factory=dict)

    def add(self, channel: str, base: str | None, overrides: str | None) -> None:
        """Add the relations in one of ``channel``'s subdirs. Raises :class:`RelationsError`."""
        targets = {
            relation: resolve_reference(channel, reference)
            for relation, reference in (("base", base), ("overrides", overrides))
            if reference is not None
        }
        if channel in targets.values():
            raise RelationsError(f"channel {channel} refers to itself")
        if len(set(targets.values())) < len(targets):
            raise RelationsError(f"channel {channel} lists {targets['base']} both as a base and as an override")
        for relation, target in targets.items():
            self._refuse(channel, target)
            one = Followed(channel=target, relation=relation, of=channel)
            if one not in self.found:
                self.found.append(one)

    def _refuse(self, channel: str, target: str) -> None:
        if target in self.named:
            return
        if channel.startswith("file:"):
            raise RelationsError(f"channel {channel} refers to {target}; relations of local channels are not followed")
        depth = self.depth.get(channel, 0) + 1
        self.depth[target] = min(depth, self.depth.get(target, depth))
        if depth > MAX_DEPTH:
            raise RelationsError(
                f"more than {MAX_DEPTH} channels refer to one another in a chain; the last is {target}"
            )

    def strangers(self) -> list[str]:
        """The channels that environment.yml does not name."""
        return list(dict.fromkeys(one.channel for one in self.found if one.channel not in self.named))

    def followed(self) -> tuple[Followed, ...]:
        """The relation that first added each of these."""
        return tuple(next(one for one in self.found if one.channel == stranger) for stranger in self.strangers())

    def order(self) -> list[str]:
        """All channels, the one with the highest priority first. Raises :class:`RelationsError` for a cycle.

        The order in environment.yml takes precedence over contradicting relations. A channel that is added is placed
        next to the one that names it, if possible.
        """
        above: dict[str, list[str]] = {channel: [] for channel in (*self.named, *self.strangers())}
        below: dict[str, list[str]] = {channel: [] for channel in above}
        for higher, lower in zip(self.named, self.named[1:], strict=False):
            above[lower].append(higher)
        place = {channel: number for number, channel in enumerate(self.named)}
        for one in self.found:
            higher, lower = (one.channel, one.of) if one.relation == "base" else (one.of, one.channel)
            if higher in place and lower in place and place[higher] > place[lower]:
                continue
            above[lower].append(higher)
            below[higher].append(lower)
        try:
            TopologicalSorter(above).prepare()
        except CycleError as circle:
            told = " -> ".join(circle.args[1])
            raise RelationsError(f"channel relations form a cycle: {told}") from circle
        order: list[str] = []
        for channel in above:
            _place(channel, above, below, order)
        return order


def _place(channel: str, above: dict[str, list[str]], below: dict[str, list[str]], order: list[str]) -> None:
    """Append ``channel`` to ``order``, after all that must precede it; then those that can follow it directly."""
    if channel in order:
        return
    for higher in above[channel]:
        _place(higher, above, below, order)
    if channel in order:
        return
    order.append(channel)
    for lower in below[channel]:
        if set(above[lower]) <= set(order):
            _place(lower, above, below, order)

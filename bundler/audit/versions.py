"""Whether a version is affected, by OSV's algorithm ("Evaluation" in the schema), with PEP 440's order of versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.audit.osv import Affected

__all__ = ["fixes", "is_affected", "parsed"]

_FIRST = "0"
"""Before every version."""
_LIMITLESS = "*"
_ORDER = {"fixed": 0, "last_affected": 0, "introduced": 1}
"""The order of events at the same version."""


class _UndecidedError(Exception):
    """The range cannot be compared."""


def parsed(text: str) -> Version | None:
    """None if it is not a PEP 440 version."""
    try:
        return Version(text)
    except ValueError:  # or a number of too many digits
        return None


def is_affected(text: str, affected: Affected) -> bool | None:
    """Whether that version is affected; None if that is unknown, because a version or range cannot be compared."""
    version = parsed(text)
    if text in affected.versions:
        return True
    if version is not None and any(_same(version, one) for one in affected.versions):
        return True
    if version is None:
        return None
    undecided = bool(affected.others) and not affected.ranges and not affected.versions
    undecided |= not (affected.others or affected.ranges or affected.versions)
    for events in affected.ranges:
        try:
            if _is_within(version, events):
                return True
        except _UndecidedError:
            undecided = True
    return None if undecided else False


def fixes(text: str, affected: Affected) -> list[Version]:
    """The fixed versions above ``text`` in an advisory, the lowest first."""
    version = parsed(text)
    found = (parsed(fixed) for events in affected.ranges for kind, fixed in events if kind == "fixed")
    return sorted({one for one in found if one is not None and (version is None or one > version)})


def _same(version: Version, listed: str) -> bool:
    other = parsed(listed)
    return other is not None and _beside(version, other) == other


def _beside(version: Version, other: Version) -> Version:
    """Ignore a local version (``2.1+cpu``), unless the advisory's version also has one."""
    return version if other.local else Version(version.public)


def _is_within(version: Version, events: Iterable[tuple[str, str]]) -> bool:
    known: list[tuple[bool, Version, int, str]] = []
    limits: list[Version] = []
    for kind, text in events:
        if kind == "limit" and text == _LIMITLESS:
            continue
        at = Version(_FIRST) if text == _FIRST else parsed(text)
        if at is None or kind not in (*_ORDER, "limit"):
            raise _UndecidedError
        if kind == "limit":
            limits.append(at)
        else:
            known.append((text != _FIRST, at, _ORDER[kind], kind))
    if not any(kind == "introduced" for _, _, _, kind in known):
        raise _UndecidedError
    if limits and not any(_beside(version, limit) < limit for limit in limits):
        return False
    inside = False
    for is_bounded, at, _, kind in sorted(known):
        own = _beside(version, at)
        if kind == "introduced" and (not is_bounded or own >= at):
            inside = True
        elif (kind == "fixed" and own >= at) or (kind == "last_affected" and own > at):
            inside = False
    return inside

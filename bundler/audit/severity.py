"""The severity of a vulnerability: from its CVSS vectors, or else from the advisory's own rating."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LEVELS", "UNKNOWN", "Severity", "severity_of", "worst"]

LEVELS = ("none", "low", "medium", "high", "critical")
"""FIRST's ratings, the lowest first."""
_FLOORS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"), (0.0, "none"))
_WORDS = {"moderate": "medium", "important": "high"} | {level: level for level in LEVELS}


@dataclass(frozen=True, kw_only=True)
class Severity:
    """``level`` is one of :data:`LEVELS`, or ``unknown``; ``score`` is set if it comes from CVSS."""

    level: str
    score: float | None = None

    def reaches(self, level: str) -> bool:
        """Whether it is at least ``level``; an unknown severity counts as if it were."""
        return self.level not in LEVELS or LEVELS.index(self.level) >= LEVELS.index(level)


UNKNOWN = Severity(level="unknown")


def severity_of(vectors: Iterable[Mapping[str, Any]], word: object) -> Severity:
    """The highest of ``vectors`` (OSV's ``severity``), or ``word``. Unreadable vectors are ignored."""
    scores = [score for one in vectors if (score := _score(one.get("type"), one.get("score"))) is not None]
    if scores:
        score = max(scores)
        return Severity(level=next(level for floor, level in _FLOORS if score >= floor), score=score)
    level = _WORDS.get(word.lower()) if isinstance(word, str) else None
    return Severity(level=level) if level else UNKNOWN


def worst(severities: Iterable[Severity]) -> Severity:
    """The highest severity of several advisories; unknown ones count only if all are unknown."""
    known = [one for one in severities if one.level in LEVELS]
    return max(known, key=lambda one: (LEVELS.index(one.level), one.score or 0.0), default=UNKNOWN)


def _score(kind: object, vector: object) -> float | None:
    from cvss import CVSS2, CVSS3, CVSS4
    from cvss.exceptions import CVSSError

    reader = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}.get(str(kind))
    if reader is None or not isinstance(vector, str):
        return None
    try:
        read = reader(vector)
    except CVSSError:
        return None
    return float(read.base_score)

"""``[licenses]``: whether a bundle may contain a package with that license, by the semantics of SPDX expressions.

``OR`` is a choice, ``AND`` is not; ``-or-later`` is a choice between that version and later ones; a license ``WITH`` an
exception is a separate license, which allows at least as much as the license alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bundler.licenses.expression import licensing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundler.licenses.expression import License

__all__ = ["Judgement", "Policy"]

_VERSIONS = {
    "AGPL": ("1.0", "3.0"),
    "GFDL": ("1.1", "1.2", "1.3"),
    "GPL": ("1.0", "2.0", "3.0"),
    "LGPL": ("2.0", "2.1", "3.0"),
}
"""The licenses that have an ``-or-later``, and their versions."""
_LATER = "-or-later"
_WITH = " WITH "


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """``excepted``: accepted only because of the policy's exception, whose reason it has."""

    verdict: Literal["allowed", "denied", "not allowed", "unknown", "excepted"]
    reason: str = ""

    @property
    def refused(self) -> bool:
        return self.verdict in ("denied", "not allowed")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The table: SPDX license identifiers, and the reasons for exceptions, by package."""

    deny: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.deny or self.allow)

    def judge(self, license_: License, keys: Iterable[str]) -> Judgement:
        """Judge a package's license; ``keys`` are the names that the package may have in ``exceptions``."""
        found = self._judged(license_)
        excepted = next((self.exceptions[key] for key in keys if key in self.exceptions), None)
        if found.refused and excepted is not None:
            return Judgement(verdict="excepted", reason=excepted)
        return found

    def _judged(self, license_: License) -> Judgement:
        if not license_.expression:
            return Judgement(verdict="not allowed" if self.allow else "unknown", reason="no license is declared")
        parsed = licensing().parse(license_.expression)
        denied = _meanings_of(self.deny)
        if not _can_be_had(parsed, lambda one: bool(_choices(one) - denied) and one not in self.deny):
            return Judgement(verdict="denied", reason=f"{license_.expression} is denied")
        allowed = _meanings_of(self.allow)
        if self.allow and not _can_be_had(parsed, lambda one: bool(_allowing(one, denied) & allowed)):
            said = f" (unknown: {', '.join(license_.unknown)})" if license_.unknown else ""
            return Judgement(verdict="not allowed", reason=f"{license_.expression} is not in `allow`{said}")
        if license_.unknown and not self.allow:
            return Judgement(verdict="unknown", reason=f"unknown license: {', '.join(license_.unknown)}")
        return Judgement(verdict="allowed")


def _can_be_had(node: Any, is_fine: Any) -> bool:
    """Whether acceptable licenses can satisfy the expression."""
    spdx = licensing()
    if isinstance(node, spdx.OR):
        return any(_can_be_had(one, is_fine) for one in node.args)
    if isinstance(node, spdx.AND):
        return all(_can_be_had(one, is_fine) for one in node.args)
    return bool(is_fine(node.render()))


def _choices(license_: str) -> set[str]:
    """The versions that an ``-or-later`` includes; for others, the license itself."""
    name, _, exception = license_.partition(_WITH)
    family, _, version = name.removesuffix(_LATER).rpartition("-")
    if not name.endswith(_LATER) or version not in _VERSIONS.get(family, ()):
        return {license_}
    versions = _VERSIONS[family]
    named = (f"{family}-{one}-only" for one in versions[versions.index(version) :])
    return {f"{one}{_WITH}{exception}" if exception else one for one in named}


def _allowing(license_: str, denied: set[str]) -> set[str]:
    """The entries of ``allow`` that allow it: itself, or a version that it includes, either without the exception."""
    found = {license_, *_choices(license_)} - denied
    return found | {one.partition(_WITH)[0] for one in found if _WITH in one}


def _meanings_of(listed: Iterable[str]) -> set[str]:
    return {meaning for one in listed for meaning in (one, *_choices(one))}

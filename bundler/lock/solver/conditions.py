"""Resolve conditional dependencies and extras (CEPs 43 and 44) for one solution.

A lockfile describes a single solution, so its dependencies need no conditions: a dependency with ``when`` becomes a
plain one if the condition holds, and is omitted otherwise; the dependencies of a requested extra become ordinary ones.
So conda-lock, whose parser supports neither, and every installer can read it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rattler import MatchSpec, PackageRecord
from rattler.exceptions import InvalidMatchSpecError
from rattler.package import BuildString

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rattler import RepoDataRecord

__all__ = ["UnreadableConditionError", "plain_dependencies"]

_TOKEN = re.compile(r"""\s*(?:([()])|((?:[^\s()\[\]]|\[(?:"[^"]*"|'[^']*'|[^\]"'])*\])+))""")
"""A parenthesis, or a word of a condition as rattler formats it: ``and``, ``or``, or a spec without spaces outside its
brackets."""


class UnreadableConditionError(ValueError):
    """A dependency, or its condition, that rattler can parse but we cannot."""


def plain_dependencies(
    records: Sequence[RepoDataRecord], virtual: Iterable[Mapping[str, Any]], specs: Iterable[MatchSpec]
) -> dict[str, list[str]]:
    """The dependencies of each package in a solution, by the package's name, as specs that any conda can parse.

    ``specs`` are the requested specs, ``virtual`` the virtual packages as in repodata. Specs that are already plain are
    not changed. Raises :class:`UnreadableConditionError`.
    """
    there: dict[str, PackageRecord | RepoDataRecord] = {str(one["name"]): _virtual(one) for one in virtual}
    there |= {record.name.normalized: record for record in records}
    extras = {(spec.name.normalized, extra) for spec in specs for extra in spec.extras or ()}
    while True:
        found: dict[str, list[str]] = {}
        wanted = set(extras)
        for record in records:
            name = record.name.normalized
            found[name] = []
            for text in _texts(record, {extra for package, extra in extras if package == name}):
                plain, asked = _plain(text, there)
                found[name] += plain
                wanted |= asked
        if wanted == extras:
            return found
        extras = wanted


def _texts(record: RepoDataRecord, extras: Iterable[str]) -> list[str]:
    added = [text for extra in sorted(extras) for text in record.extra_depends.get(extra, ())]
    return list(dict.fromkeys([*record.depends, *added]))


def _plain(text: str, there: Mapping[str, PackageRecord | RepoDataRecord]) -> tuple[list[str], set[tuple[str, str]]]:
    """The plain spec, or none if its condition does not hold; and the extras that it requests."""
    if "[" not in text:
        return [text], set()
    spec = _read(text)
    if spec.condition and not _Condition(spec.condition, there).holds():
        return [], set()
    name = spec.name.normalized
    asked = {(name, extra) for extra in spec.extras or ()}
    return [" ".join(str(part) for part in (name, spec.version or (spec.build and "*"), spec.build) if part)], asked


def _read(text: str) -> MatchSpec:
    try:
        return MatchSpec(text)
    except InvalidMatchSpecError as invalid:
        raise UnreadableConditionError(f"`{text}`: {str(invalid).splitlines()[0]}") from invalid


class _Condition:
    """``spec``, ``a and b``, ``a or b``, with parentheses; ``and`` binds tighter."""

    def __init__(self, text: str, there: Mapping[str, PackageRecord | RepoDataRecord]) -> None:
        self._text = text
        self._there = there
        self._rest = self._tokens()

    def holds(self) -> bool:
        answer = self._any()
        if self._rest:
            raise self._unreadable()
        return answer

    def _tokens(self) -> list[str]:
        found = list(_TOKEN.finditer(self._text))
        if "".join(match[0] for match in found) != self._text.rstrip():
            raise self._unreadable()
        return [match[0].strip() for match in found]

    def _any(self) -> bool:
        answers = [self._all()]
        while self._rest[:1] == ["or"]:
            self._rest.pop(0)
            answers.append(self._all())
        return any(answers)

    def _all(self) -> bool:
        answers = [self._one()]
        while self._rest[:1] == ["and"]:
            self._rest.pop(0)
            answers.append(self._one())
        return all(answers)

    def _one(self) -> bool:
        word = self._rest.pop(0) if self._rest else ")"
        if word == "(":
            answer = self._any()
            if self._rest[:1] != [")"]:
                raise self._unreadable()
            self._rest.pop(0)
            return answer
        if word in {")", "and", "or"}:
            raise self._unreadable()
        spec = _read(word)
        record = self._there.get(spec.name.normalized)
        return record is not None and spec.matches(record)

    def _unreadable(self) -> UnreadableConditionError:
        return UnreadableConditionError(f"the condition `{self._text}`")


def _virtual(one: Mapping[str, Any]) -> PackageRecord:
    return PackageRecord(
        str(one["name"]), str(one["version"]), BuildString(str(one["build"])), int(one.get("build_number", 0)), "noarch"
    )

"""Compare an SBOM with a dump, and apply our statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.audit.components import components_of
from bundler.audit.osv import ECOSYSTEM
from bundler.audit.report import Audit, Finding, Uncovered
from bundler.audit.severity import worst
from bundler.audit.versions import fixes, is_affected, parsed

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Sequence

    from bundler.audit.components import Found
    from bundler.audit.osv import Advisory, Affected, Database
    from bundler.audit.statements import Statement
    from bundler.sbom.read import Sbom

__all__ = ["audit"]

_PREFERRED = ("CVE-", "GHSA-", "PYSEC-")
"""The prefixes of identifiers, the best known first."""
_Hit = tuple["Advisory", "Affected", bool]


def audit(sbom: Sbom, database: Database, statements: Sequence[Statement], today: dt.date, *, subject: str) -> Audit:
    """The dump's advisories for what the SBOM lists; ``subject`` is the name of what was audited."""
    components = components_of(sbom)
    findings: list[Finding] = []
    uncovered: list[Uncovered] = []
    used: set[Statement] = set()
    for one in components:
        if not one.project:
            uncovered.append(_uncovered(one, f"not from {ECOSYSTEM}; only {ECOSYSTEM} projects are compared"))
            continue
        if one.injected:
            uncovered.append(_uncovered(one, "injected: your own files are in no database of advisories"))
        elif parsed(one.version) is None:
            uncovered.append(_uncovered(one, f"its version {one.version!r} is not a PEP 440 version"))
        for hits in _together(_hits(one, database)):
            findings.append(_judged(one, hits, statements, today, used))
    findings.sort(key=lambda found: (-found.rank, found.component, found.id))
    return Audit(
        subject=subject,
        database=database.path,
        advisories=database.advisories,
        newest=database.newest,
        withdrawn=database.withdrawn,
        covered=sum(map(_is_covered, components)),
        by_name=tuple(sorted(one.name for one in components if one.by_name and _is_covered(one))),
        findings=tuple(findings),
        uncovered=tuple(uncovered),
        expired=tuple(str(one) for one in statements if not one.holds(today)),
        unused=tuple(str(one) for one in statements if one.holds(today) and one not in used),
    )


def _is_covered(one: Found) -> bool:
    return bool(one.project) and not one.injected and parsed(one.version) is not None


def _uncovered(one: Found, reason: str) -> Uncovered:
    within = ", ".join(str(holder) for holder in one.holders if holder.name != one.name)
    return Uncovered(component=one.name, version=one.version, within=within, reason=reason)


def _hits(one: Found, database: Database) -> Iterator[_Hit]:
    for advisory, affected in database.by_project.get(one.project, ()):
        found = is_affected(one.version, affected)
        if found is not False:
            yield advisory, affected, found is None


def _together(hits: Iterable[_Hit]) -> list[list[_Hit]]:
    """Group advisories of the same vulnerability: those with a name in common."""
    groups: list[tuple[set[str], list[_Hit]]] = []
    for hit in hits:
        names, members = set(hit[0].names), [hit]
        apart = []
        for group in groups:
            if group[0] & names:
                names |= group[0]
                members = [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (names, members)]
    return [members for _, members in groups]


def _judged(
    one: Found, hits: list[_Hit], statements: Sequence[Statement], today: dt.date, used: set[Statement]
) -> Finding:
    names = {name for advisory, _, _ in hits for name in advisory.names}
    packages = {one.name, one.project, *(holder.name for holder in one.holders)}
    said = next((each for each in statements if each.holds(today) and each.is_about(names, packages)), None)
    if said is not None:
        used.add(said)
    decided = [hit for hit in hits if not hit[2]]
    fixed = sorted({version for _, affected, _ in decided for version in fixes(one.version, affected)})
    severity = worst(each for advisory, affected, _ in hits for each in (advisory.severity, affected.severity))
    ordered = sorted(names, key=_rank)
    return Finding(
        id=ordered[0],
        names=tuple(ordered),
        status="ignored" if said else "affected" if decided else "undecided",
        component=one.project,
        version=one.version,
        packages=tuple(str(holder) for holder in one.holders),
        files=tuple(holder.file for holder in one.holders),
        severity=severity.level,
        score=severity.score,
        summary=next((advisory.summary for advisory, _, _ in hits if advisory.summary), ""),
        fixed=tuple(map(str, fixed)),
        reason=said.reason if said else "",
    )


def _rank(name: str) -> tuple[int, str]:
    return next((place for place, prefix in enumerate(_PREFERRED) if name.startswith(prefix)), len(_PREFERRED)), name

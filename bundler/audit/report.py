"""The result of an audit: as text, as JSON, and as an exit code for CI."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from bundler.audit.severity import LEVELS, Severity
from bundler.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GATES", "Audit", "Finding", "Uncovered"]

GATES = ("any", *LEVELS[1:], "never")
"""The severities from which an audit fails."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A vulnerability of one component. ``undecided``: an advisory names the project, but its versions cannot be
    compared. ``ignored``: one of our statements says that it does not apply, for that ``reason``.

    ``packages`` contain the component, ``files`` are their archives; ``fixed`` are later versions without it.
    """

    id: str
    names: tuple[str, ...]
    status: Literal["affected", "undecided", "ignored"]
    component: str
    version: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    severity: str
    score: float | None
    summary: str
    fixed: tuple[str, ...]
    reason: str

    @property
    def rank(self) -> int:
        return LEVELS.index(self.severity) if self.severity in LEVELS else len(LEVELS)

    def fails(self, gate: str) -> bool:
        """Whether it fails an audit that fails from the severity ``gate`` on."""
        if self.status == "ignored" or gate == "never":
            return False
        return gate == "any" or Severity(level=self.severity).reaches(gate)

    def lines(self) -> Iterator[str]:
        score = f" {self.score:g}" if self.score is not None else ""
        others = f" ({', '.join(self.names[1:])})" if self.names[1:] else ""
        yield printable(f"{self.severity}{score}: {self.component} {self.version}: {self.id}{others}")
        if self.summary:
            yield printable(f"    {self.summary}")
        told = ", ".join(one for one in self.packages if one != f"{self.component} {self.version}")
        if told:
            yield printable(f"    in {told}")
        if self.status == "ignored":
            yield printable(f"    ignored: {self.reason}")
        elif self.status == "undecided":
            yield "    the advisory does not tell whether this version is affected: check it yourself"
        else:
            yield f"    fixed in {self.fixed[0]}" if self.fixed else "    no fixed version is known"


@dataclass(frozen=True, kw_only=True)
class Uncovered:
    """A component that could not be looked up, so nothing is known about it. ``within`` is the package it is in."""

    component: str
    version: str
    within: str
    reason: str

    def __str__(self) -> str:
        return f"{self.component} {self.version}".rstrip() + (f" (in {self.within})" if self.within else "")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """``covered`` counts the components that were compared; ``by_name`` are those whose project is only inferred from a
    conda package's name, and may be wrong; ``expired`` and ``unused`` are our statements that did not apply.
    """

    subject: str
    database: str
    advisories: int
    newest: str
    withdrawn: int
    covered: int
    by_name: tuple[str, ...]
    findings: tuple[Finding, ...]
    uncovered: tuple[Uncovered, ...]
    expired: tuple[str, ...]
    unused: tuple[str, ...]

    def fails(self, gate: str, *, require_coverage: bool = False) -> bool:
        unsure = bool(self.uncovered or self.by_name)
        return any(one.fails(gate) for one in self.findings) or (require_coverage and unsure)

    def lines(self) -> list[str]:
        """The text. It never says that there are no vulnerabilities, only what was compared."""
        open_ = sum(one.status != "ignored" for one in self.findings)
        count = counted(open_, "known vulnerability", "known vulnerabilities") if open_ else "no known vulnerability"
        compared = counted(self.covered, "component")
        lines = [f"{printable(self.subject)}: {count} in the {compared} that were compared"]
        lines += [f"  {line}" for one in self.findings for line in one.lines()]
        if self.uncovered:
            count = counted(len(self.uncovered), "component")
            lines.append(f"  NOT COVERED, so nothing is known about them: {count}")
            lines += [printable(f"    {one}: {one.reason}") for one in self.uncovered]
        if self.by_name:
            lines.append(f"  PyPI projects identified only by name: {', '.join(map(printable, self.by_name))}")
        lines += [printable(f"  expired statement, not used: {one}") for one in self.expired]
        lines += [printable(f"  statement that matches nothing: {one}") for one in self.unused]
        known = counted(self.advisories, "advisory", "advisories")
        lines.append(printable(f"  compared with {self.database}: {known}, the newest from {self.newest[:10]}"))
        return lines

    def document(self, gate: str, *, require_coverage: bool) -> dict[str, Any]:
        """For ``--json``."""
        failed = self.fails(gate, require_coverage=require_coverage)
        return asdict(self) | {"fail_on": gate, "require_coverage": require_coverage, "failed": failed}

"""An audit as SARIF 2.1.0 (OASIS), which GitHub, GitLab and editors show beside the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bundler import __version__

if TYPE_CHECKING:
    from bundler.audit.report import Audit, Finding

__all__ = ["sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "none": "note"}
_SCORES = {"critical": "9.0", "high": "7.0", "medium": "4.0", "low": "0.1", "none": "0.0"}
"""Scores of severities given as a word; an unknown severity has none."""


def sarif(audit: Audit, text: str) -> str:
    """``text`` is the lockfile's text, to find the packages' lines in; empty for a bundle."""
    rules = list({one.id: _rule(one) for one in audit.findings}.values())
    places = {rule["id"]: number for number, rule in enumerate(rules)}
    lines = text.splitlines()
    run = {
        "tool": {"driver": {"name": "conda-bundler", "version": __version__, "rules": rules}},
        "results": [_result(one, places[one.id], audit.subject, lines) for one in audit.findings],
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": f"not covered: {one}: {one.reason}"}}
                    for one in audit.uncovered
                ],
            }
        ],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(one: Finding) -> dict[str, Any]:
    score = f"{one.score:.1f}" if one.score is not None else _SCORES.get(one.severity)
    return {
        "id": one.id,
        "shortDescription": {"text": one.summary or one.id},
        "helpUri": f"https://osv.dev/vulnerability/{quote(one.id, safe='')}",
        "properties": {"tags": ["security"]} | ({"security-severity": score} if score else {}),
    }


def _result(one: Finding, rule: int, subject: str, lines: list[str]) -> dict[str, Any]:
    fixed = f"; fixed in {one.fixed[0]}" if one.fixed else ""
    unsure = " may be affected by" if one.status == "undecided" else " is affected by"
    files = [file for file in one.files if file]
    place = next((number for number, line in enumerate(lines, 1) if any(file in line for file in files)), 1)
    message = f"{one.component} {one.version} (in {', '.join(one.packages)}){unsure} {', '.join(one.names)}{fixed}"
    result: dict[str, Any] = {
        "ruleId": one.id,
        "ruleIndex": rule,
        "level": _LEVELS.get(one.severity, "error"),
        "message": {"text": message},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": quote(subject)}, "region": {"startLine": place}}}
        ],
        "partialFingerprints": {"vulnerability/v1": f"{one.id}:{one.component}:{one.version}"},
    }
    if one.status == "ignored":
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": one.reason}]
    return result

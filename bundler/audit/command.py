"""The command `audit`: its options, the audit, and the SARIF file."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.audit.osv import read_database
from bundler.audit.run import audit as compare
from bundler.audit.sarif import sarif
from bundler.audit.statements import read_statements
from bundler.inventory import is_bundle, take_inventory, write_document

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.audit.report import Audit
    from bundler.progress import Progress

__all__ = ["AuditOptions", "audit"]


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """``database`` is the dump, ``ignore`` the file of statements, ``report`` where SARIF is written."""

    database: Path
    ignore: Path | None = None
    fail_on: str = "any"
    require_coverage: bool = False
    report: Path | None = None
    platform: str | None = None


def audit(path: Path, options: AuditOptions, progress: Progress) -> Audit:
    """Compare a bundle or a lockfile with a dump. Raises what reading them raises."""
    now = dt.datetime.now(dt.timezone.utc)
    statements = read_statements(options.ignore) if options.ignore else ()
    inventory = take_inventory(path, options.platform)
    for note in inventory.notes:
        progress.step(f"note: {note}")
    progress.step(f"Reading {options.database.name}")
    found = compare(inventory.sbom, read_database(options.database, now), statements, now.date(), subject=str(path))
    if options.report is not None:
        text = "" if is_bundle(path) else path.read_text(encoding="utf-8", errors="replace")
        write_document(options.report, sarif(found, text).encode())
    return found

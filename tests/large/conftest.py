"""What the large tests have measured, as a table at their end and in build/large/table.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from largekit import ROOM, TABLE, render_table

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not TABLE:
        return
    table = render_table()
    (ROOM / "table.md").write_text(table, encoding="utf-8")
    terminalreporter.section("measured")
    terminalreporter.write(table)

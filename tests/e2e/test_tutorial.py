"""docs/tutorial.md, line by line: on this machine as its builder, on a machine without a network as its operator."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from docskit import DOCS, Builder, Line, shell_lines
from examplekit import ask

from bundler.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


def test_every_line_works_as_it_is_written(bookworm: Path, local_channel: Path, tmp_path: Path) -> None:
    builder = Builder(tmp_path, local_channel)
    carried: set[Path] = set()
    seen: list[str] = []
    with Machine(bookworm) as server:
        for section, lines in groupby(shell_lines(DOCS / "tutorial.md"), lambda line: line.section):
            for line in lines:
                if line.run and line.prompt == "$":
                    builder.run(line.command)
                elif line.run:
                    for bundle in sorted(builder.bundles() - carried):
                        server.put(f"/root/{bundle.name}", bundle.read_bytes())
                    carried |= builder.bundles()
                    _as_root(server, line)
            _check(section, server)
            seen.append(section[:1])
    assert seen == list("12345678")


def _as_root(server: Machine, line: Line) -> None:
    done = server.run("sh", "-c", f"cd /root; {line.command}")
    assert done.status == 0, f"{line.command}\n{done.stdout}\n{done.stderr}"


def _check(section: str, server: Machine) -> None:
    """What the reader has then."""
    match section[:1]:
        case "6":  # the setting that the section has changed
            assert ask(server, "http://127.0.0.1:8080/") == (200, "Hello.\n")
        case "7":  # rolled back at its end
            assert ask(server, "http://127.0.0.1:8080/") == (200, "Hello.\n")
            assert "0.2.0" in server.run("/opt/hello/manage", "releases", check=True).stdout
        case "8":
            assert server.run("test", "-e", "/opt/hello/current").status != 0
            assert server.run("test", "-e", "/etc/hello/hello.env").status == 0

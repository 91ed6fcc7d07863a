"""What a build says of services that nobody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import load_config
from bundler.units.health import health_notes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("", True),
        ('schedule = { on_calendar = "daily" }', False),
        ('health = { tcp = "127.0.0.1:80" }', False),
        ('type = "notify"', False),  # it tells systemd when it is ready
        ("health = { notify = true }", False),
    ],
)
def test_a_service_without_a_health_check_is_named(tmp_path: Path, service: str, *, told: bool) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        f'[bundle]\nname = "hello"\nversion = "1"\n[services.web]\ncommand = ["/bin/true"]\n{service}\n'
    )
    notes = health_notes(load_config(tmp_path))
    assert [note.startswith("no health check: web;") for note in notes] == [True] * told

"""What a build says of services that can read each other's secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import load_config
from bundler.units.contents import Contents
from bundler.units.sisters import sister_notes

if TYPE_CHECKING:
    from pathlib import Path

LOW = "ports = [81]"
OFF = 'hardening = "off"'
OPEN = 'unit.Service.PrivateUsers = "no"'
CLOSED = f'{LOW}\nunit.Service.PrivateUsers = "yes"'


@pytest.mark.parametrize(
    ("web", "worker", "secrets", "told"),
    [
        ("", "", "[]", False),
        (LOW, "", "[]", False),
        ("", OFF, "[]", False),
        (LOW, LOW, "[]", True),
        (LOW, OFF, "[]", True),
        (OFF, OPEN, "[]", True),
        (LOW, CLOSED, "[]", False),
        (LOW, LOW, '["KEY", "TOKEN"]', False),  # both have them all the same
        (LOW, LOW, '["TOKEN"]', True),
    ],
)
def test_two_that_run_without_a_namespace(tmp_path: Path, web: str, worker: str, secrets: str, *, told: bool) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(f"""
[bundle]
name = "hello"
version = "1"
[secrets]
KEY = {{}}
TOKEN = {{}}
RELEASE_COOKIE = false
[services.web]
command = ["/bin/true"]
{web}
[services.worker]
command = ["/bin/true"]
secrets = {secrets}
{worker}
[services.other]
command = ["/bin/true"]
secrets = []
""")
    notes = sister_notes(load_config(tmp_path), Contents())
    assert len(notes) == told
    for note in notes:
        assert note.startswith("services.web and services.worker run as the same user without PrivateUsers")
        assert "KEY" in note
        assert ("TOKEN" in note) == (secrets == "[]")

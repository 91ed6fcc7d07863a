"""Whom systemd asks to end: the main process alone, or all of them where a shell stays it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import BundleConfig, load_config
from bundler.units.contents import Contents
from bundler.units.ending import ending_notes, stopping

if TYPE_CHECKING:
    from pathlib import Path

CONTENTS = Contents(wrappers=frozenset({"app/start", "app/bin/run.sh", "env/bin/serve"}))
HEAD = '[bundle]\nname = "hello"\nversion = "1.0"\n[services.hello]\n'


def config_of(tmp_path: Path, service: str) -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(HEAD + service)
    return load_config(tmp_path)


@pytest.mark.parametrize(
    ("command", "stays"),
    [
        ('["python", "-m", "hello"]', ""),
        ('["app/other"]', ""),
        ('["start"]', "app/start"),
        ('["./start", "x"]', "app/start"),
        ('["{app}/bin/run.sh"]', "app/bin/run.sh"),
        ('["serve"]', "env/bin/serve"),
        ('["{env}/bin/serve"]', "env/bin/serve"),
        ('["/bin/sh", "{app}/start"]', "app/start"),
        ('["/bin/bash", "-eu", "{app}/bin/run.sh"]', "app/bin/run.sh"),
        ('["/bin/sh", "{app}/other.sh"]', ""),
        ('["/bin/sh", "-c", "celery -A x worker"]', ""),  # every shell makes way for a single command
        ('["/bin/sh", "-c", "cd /x && exec gunicorn app"]', ""),
        ('["/bin/sh", "-c", "cd /x && gunicorn app"]', "/bin/sh"),
        ('["/bin/bash", "-lc", "gunicorn app | tee log"]', "/bin/bash"),
        ('["/bin/sh", "-c", "exec 2>&1; gunicorn app"]', "/bin/sh"),
        ('["/bin/sh", "-c", "trap : USR1; gunicorn app"]', "/bin/sh"),
    ],
)
def test_a_shell_that_stays_is_asked_with_all_the_others(tmp_path: Path, command: str, stays: str) -> None:
    config = config_of(tmp_path, f"command = {command}\n")
    mode = dict(stopping(config.services[0], CONTENTS))["KillMode"]
    assert mode == ("control-group" if stays else "mixed")
    notes = list(ending_notes(config, CONTENTS))
    assert [note.partition(" remains")[0] for note in notes] == ([f"services.hello.command: {stays}"] if stays else [])


def test_start_scripts_of_erlangs_are_known(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'command = ["start"]\nprofile = "beam"\n')
    assert dict(stopping(config.services[0], CONTENTS))["KillMode"] == "mixed"

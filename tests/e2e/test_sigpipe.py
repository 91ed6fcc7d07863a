"""The story that started the project: a start script that makes its cookie in a pipeline hangs under systemd.

systemd ignores SIGPIPE and children inherit that; ``fold`` then never learns that ``head`` is gone. Our unit sets
``IgnoreSIGPIPE=false`` and brings the cookie: each alone cures it, and without both the same unit hangs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from waiting import PATIENCE, until

from bundler.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

START = """#!/bin/sh
# What Livebook's releases did.
if [ -z "$RELEASE_COOKIE" ]; then
  RELEASE_COOKIE=$(cat /dev/urandom | LC_ALL=C tr -dc 'a-z0-9' | fold -w 32 | head -n 1)
fi
export RELEASE_COOKIE
exec python -m http.server --bind 127.0.0.1 --directory "$STATE_DIRECTORY" "$PORT"
"""
CONFIG = """
[bundle]
name = "pipeline"
version = "1.0"
[files]
"start" = "start"
[config]
PORT = "8000"
[services.pipeline]
command = ["start"]
health = { http = "http://127.0.0.1:${PORT}/" }
"""
NO_COOKIE = "EnvironmentFile=\nEnvironment=PORT=8000\n"
HANGING = "IgnoreSIGPIPE=true\n"


@pytest.fixture(scope="module")
def machine(local_channel: Path, bookworm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    project = tmp_path_factory.mktemp("pipeline")
    (project / "environment.yml").write_text("channels: [conda-forge]\ndependencies: [python]\n")
    (project / "start").write_text(START)
    (project / "start").chmod(0o755)
    (project / "bundle.toml").write_text(CONFIG)
    bundle = build(project, local_channel, project / "dist")
    with Machine(bookworm) as machine:
        machine.copy_in(bundle, "/root/bundle")
        installed = machine.run("sh", "/root/bundle/install.sh")
        assert installed.status == 0, installed.stderr
        yield machine


def answers(machine: Machine, *, within: float = PATIENCE) -> bool:
    """Whether the service answers within so many seconds of a restart."""
    machine.run("systemctl", "restart", "--no-block", "pipeline", check=True)
    return until(lambda: machine.run("systemctl", "start", "pipeline-health").status == 0, within)


def drop_in(machine: Machine, text: str) -> None:
    machine.put("/etc/systemd/system/pipeline.service.d/test.conf", f"[Service]\n{text}".encode())
    machine.run("systemctl", "daemon-reload", check=True)


def test_it_starts_under_our_unit(machine: Machine) -> None:
    assert answers(machine)


def test_the_same_unit_without_both_hangs_and_calls_itself_active(machine: Machine) -> None:
    drop_in(machine, HANGING + NO_COOKIE)
    assert not answers(machine, within=12)
    assert machine.run("systemctl", "is-active", "pipeline").stdout.strip() == "active"
    assert "fold -w 32" in machine.run("systemctl", "status", "--no-pager", "-n0", "pipeline").stdout


def test_ignore_sigpipe_false_alone_cures_it(machine: Machine) -> None:
    drop_in(machine, NO_COOKIE)
    assert answers(machine)


def test_the_cookie_alone_cures_it(machine: Machine) -> None:
    drop_in(machine, HANGING)
    assert answers(machine)

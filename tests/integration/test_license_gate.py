"""`build` and `[licenses]`: what is refused is listed, and no bundle is made."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from smallbundle import CONFIG, command, make_project
from tinychannel import File, index, make_package

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is locked."""
    room = tmp_path_factory.mktemp("licensed")
    channel = room / "channel"
    needs = ["copyleft", "loose", "silent", "choice"]
    program = {"bin/tool": File(content=b"#!/bin/sh\n", mode=0o755)}
    make_package(channel, "tool", "1.0", files=program, depends=needs, license="MIT")
    make_package(channel, "copyleft", "2.0", license="AGPL-3.0-or-later", extension=".tar.bz2")
    make_package(channel, "loose", "3.0", license="BSD 3-Clause")
    make_package(channel, "choice", "5.0", license="AGPL-3.0-only OR MIT")
    make_package(channel, "silent", "4.0")
    index(channel)
    project = make_project(room / "project", environment="tool")
    done = command("lock", project, "--channel", channel.as_uri())
    assert done.returncode == 0, done.stderr
    return project


def build(project: Path, locked: Path, licenses: str) -> subprocess.CompletedProcess[str]:
    shutil.copytree(locked, project, symlinks=True)
    (project / "bundle.toml").write_text(CONFIG + licenses)
    channel = locked.with_name("channel").as_uri()
    return command("build", project, "--channel", channel, "--output-dir", project / "dist")


def test_what_is_denied_is_listed(tmp_path: Path, locked: Path) -> None:
    done = build(tmp_path / "p", locked, '[licenses]\ndeny = ["AGPL-3.0-only"]\n')
    assert done.returncode == 7
    assert "bundle.toml: licenses: copyleft 2.0: AGPL-3.0-or-later is denied\n" in done.stderr
    assert "silent 4.0: its license was not checked: no license is declared" in done.stderr
    assert "choice" not in done.stderr
    assert not list((tmp_path / "p" / "dist").glob("*"))


def test_what_is_not_allowed_is_listed_all_at_once(tmp_path: Path, locked: Path) -> None:
    done = build(tmp_path / "p", locked, '[licenses]\nallow = ["MIT"]\n')
    assert done.returncode == 7
    assert "the licenses of 3 packages of 5 are refused:" in done.stderr
    assert "\n  - copyleft 2.0: AGPL-3.0-or-later is not in `allow`\n" in done.stderr
    assert "\n  - loose 3.0: BSD-3-Clause is not in `allow`\n" in done.stderr
    assert "\n  - silent 4.0: no license is declared\n" in done.stderr


def test_an_exception_is_told_with_its_reason(tmp_path: Path, locked: Path) -> None:
    licenses = (
        '[licenses]\nallow = ["MIT", "BSD-3-Clause"]\n[licenses.exceptions]\ncopyleft = "bought"\n'
        '"conda:silent" = "ours"\nabsent = "nobody"\n'
    )
    done = build(tmp_path / "p", locked, licenses)
    assert done.returncode == 0, done.stderr
    assert "copyleft 2.0 is allowed by licenses.exceptions: bought" in done.stderr
    assert "licenses.exceptions names absent, which is not locked" in done.stderr


def test_a_license_that_is_none_is_a_mistake(tmp_path: Path, locked: Path) -> None:
    done = build(tmp_path / "p", locked, '[licenses]\ndeny = ["Affero"]\n')
    assert done.returncode == 2
    assert "licenses.deny" in done.stderr
    assert "SPDX" in done.stderr

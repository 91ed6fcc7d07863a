"""`verify --rebuild`: the same bytes from the same sources, whoever builds and wherever; and what is said if not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from channelserver import TOKEN, serve
from smallbundle import CONFIG, TOP, as_user, command, give, make_channel, make_project, reseal
from smallbundle import build as build_small

pytestmark = pytest.mark.usefixtures("own_cache")

SOMEBODY = 1987653


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel, a project and its bundle as a tar and as a directory."""
    room = tmp_path_factory.mktemp("rebuild")
    make_channel(room / "channel")
    make_project(room / "project")
    for form in ("tar", "dir"):
        build_small(room / "project", room / "channel", form, "--bundle-version", "1.0")
    return room


@pytest.fixture
def tar(room: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(room / "dist" / f"{TOP}.tar", tmp_path))


@pytest.fixture
def project(room: Path, tmp_path: Path) -> Path:
    """The sources somewhere else, without their lockfile."""
    project = Path(shutil.copytree(room / "project", tmp_path / "elsewhere" / "project", symlinks=True))
    (project / "conda-lock.yml").unlink()
    return project


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_somebody_else_elsewhere_makes_the_same_bytes(users_room: Path, tar: Path, project: Path) -> None:
    tar, project = Path(shutil.copy(tar, users_room)), Path(shutil.copytree(project, users_room / "p", symlinks=True))
    give(users_room, SOMEBODY)
    env = {"PATH": os.environ["PATH"], "HOME": str(users_room), "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8"}
    env |= {"CONDA_BUNDLER_CACHE": str(users_room / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])}
    env |= {"SOURCE_DATE_EPOCH": "1000000000"}  # the bundle's own counts
    words = [sys.executable, "-m", "bundler", "verify", str(tar), "--rebuild", str(project)]
    done = subprocess.run(
        [*as_user(SOMEBODY), *words], env=env, umask=0o027, cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"rebuilt from {project}: the same bytes" in done.stdout


@pytest.mark.parametrize("form", ["dir", "run"])
def test_every_form_whatever_it_is_called(room: Path, tmp_path: Path, project: Path, form: str) -> None:
    here = Path(shutil.copytree(room / "project", tmp_path / "here" / "project", symlinks=True))
    built = build_small(here, room / "channel", form, "--bundle-version", "1.0", "--compression", "xz")
    bundle = built.rename(tmp_path / f"renamed-{form}")
    done = command("verify", bundle, "--rebuild", project, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rebuilt"] == {"project": str(project), "signatures": None}


def test_what_was_built_without_a_bundle_toml_and_with_a_date(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
        (directory / "env.yml").write_text("channels: [nowhere]\ndependencies: [tool]\n")
    words = ["--environment", str(here / "env.yml"), "--name", "lone", "--bundle-version", "2", "--command", "tool a"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    done = command("build", here, *words, "--channel", (room / "channel").as_uri(), "--output-dir", here)
    assert done.returncode == 0, done.stderr
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    bundle = here / "lone-2-linux-64.tar"
    done = command("verify", bundle, "--rebuild", there)
    assert done.returncode == 0, done.stderr
    (there / "env.yml").write_text("channels: [nowhere]\ndependencies: [tool]\n# a comment\n")
    done = command("verify", bundle, "--rebuild", there)
    assert done.returncode == 7
    assert "first provenance.json: line " in done.stderr
    assert "changed inputs: env.yml" in done.stderr
    (there / "bundle.toml").write_text(CONFIG)
    assert command("verify", bundle, "--rebuild", there).returncode == 2


def test_other_sources_are_named(tar: Path, project: Path) -> None:
    (project / "data" / "text").write_text("y")
    done = command("verify", tar, "--rebuild", project)
    assert done.returncode == 7
    assert "changed inputs: app/" in done.stderr
    (project / "data" / "text").write_text("x")
    (project / "bundle.toml").write_text(CONFIG.replace('"8000"', '"8001"'))
    done = command("verify", tar, "--rebuild", project)
    assert done.returncode == 7
    assert "first config/small.env: line " in done.stderr
    assert """'PORT="8000"' in the bundle, 'PORT="8001"' in the rebuild""" in done.stderr
    assert "changed inputs: bundle.toml" in done.stderr
    (project / "bundle.toml").unlink()
    assert command("verify", tar, "--rebuild", project).returncode == 2


def test_what_a_careful_forger_changed_is_found(room: Path, tmp_path: Path, project: Path) -> None:
    """All that `verify` compares agrees; only who builds it again sees it."""
    bundle = Path(shutil.copytree(room / "dist" / TOP, tmp_path / TOP))
    settings = bundle / "config" / "small.env"
    settings.write_text(settings.read_text().replace('"fast"', '"evil"'))
    reseal(bundle)
    done = command("verify", bundle, "--rebuild", project)
    assert done.returncode == 7
    assert "first config/small.env: line " in done.stderr
    assert """'MODE="evil"' in the bundle, 'MODE="fast"' in the rebuild""" in done.stderr
    assert "changed inputs" not in done.stderr
    assert "Do not install it" in done.stderr


def test_a_channel_with_a_secret_is_named_again_by_who_rebuilds(
    room: Path, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle's own lockfile may send no variable anywhere; neither does it say where `build` was allowed to."""
    monkeypatch.setenv("CHANNEL_TOKEN", TOKEN)
    with serve(room / "channel") as server:
        channel = ("--channel", server.url("t/${CHANNEL_TOKEN}/token"))
        built = command("build", project, *channel, "--output-dir", tmp_path)
        assert built.returncode == 0, built.stderr
        bundle = tmp_path / f"{TOP}.tar"
        monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "another machine"))
        server.asked.clear()
        done = command("verify", bundle, "--rebuild", project)
        assert done.returncode == 2
        assert "contains an environment variable that none of your channels" in done.stderr
        assert "or with --channel" in done.stderr
        assert server.asked == []
        assert "the same bytes" in command("verify", bundle, "--rebuild", project, *channel).stdout
        assert server.asked != []
    done = command("verify", bundle, *channel)
    assert (done.returncode, "--channel needs --rebuild" in done.stderr) == (2, True)


def test_one_of_another_version_cannot_be_built_again(room: Path, tmp_path: Path, project: Path) -> None:
    bundle = Path(shutil.copytree(room / "dist" / TOP, tmp_path / TOP))
    reseal(bundle, made_by="conda-bundler 0.0.9")
    done = command("verify", bundle, "--rebuild", project)
    assert (done.returncode, "conda-bundler 0.0.9" in done.stderr) == (9, True)


def test_who_has_built_it_again_signs_it(tmp_path: Path, tar: Path, project: Path) -> None:
    allowed = tmp_path / "allowed_signers"
    for name in ("release", "rebuilder"):
        key = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with allowed.open("a") as file:
            file.write(f'{name}@example.org namespaces="conda-bundler" {Path(f"{key}.pub").read_text()}')
    assert command("sign", tar, "--key", tmp_path / "release").returncode == 0
    two = ("verify", tar, "--allowed-signers", allowed, "--signatures", "2")
    assert command(*two).returncode == 7
    (project / "data" / "text").write_text("y")
    again = ("verify", tar, "--rebuild", project, "--sign-key", tmp_path / "rebuilder")
    assert command(*again).returncode == 7
    assert command(*two).returncode == 7
    (project / "data" / "text").write_text("x")
    done = command(*again, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rebuilt"]["signatures"] == f"{tar}.statement.sig"
    assert command(*two).returncode == 0
    done = command("verify", tar, "--sign-key", tmp_path / "rebuilder")
    assert (done.returncode, "--rebuild" in done.stderr) == (2, True)

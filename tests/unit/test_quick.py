"""bundle.toml as `lock --check` reads it: what the models make of it, or nothing at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundler.config.overrides import Overrides
from bundler.config.project import load_config
from bundler.errors import ConfigError
from bundler.lock.freshness.quick import NotPlainError, plain_request
from bundler.lock.request import assumed_packages, injected_lockfiles, lock_request

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '[bundle]\nname = "app"\nversion = "1"\n'
TAIL = '[services.app]\ncommand = ["app"]\n'
PLAIN = [
    "",
    'description = "d"\nexclude = ["*.a"]\n',
    'platforms = ["linux-64", "linux-aarch64"]\n',
    'platforms = ["linux-aarch64"]\nenvironment = "gpu.yml"\n',
    'environment = ["environment.yml", "gpu.yml"]\nlockfile = "sub/conda-lock.yml"\n',
    'lockfile = ["conda-lock.yml", "uv.lock"]\n',
    'lockfile = "pixi.lock"\nlockfile_environment = "prod"\nenvironment = "environment.yml"\n',
    '[platforms.linux-64]\nglibc = "2.31"\ncuda = "12.4"\ncuda_arch = "8.0"\narchspec = "x86_64_v3"\nlinux = "6.1.0"\n',
    "[platforms.linux-s390x]\n[platforms.linux-64]\n",
    '[channels]\ndefault = "bioconda"\npriority = "flexible"\nretries = 0\nread_timeout = 1.5\n',
    '[lock]\nexclude_newer = "14d"\n[secrets]\nA = {}\n[config]\nPORT = "1"\n',
]
NOT_PLAIN = [
    'inject = ["*.whl"]\n',
    "unknown = 1\n",
    "platforms = []\n",
    'platforms = "linux-64"\n',
    'platforms = ["linux-65"]\n',
    'environment = "missing.yml"\n',
    "environment = []\n",
    'lockfile = ["uv.lock"]\n',
    "lockfile = 1\n",
    'platforms = ["linux-64"]\n[platforms.linux-s390x]\n',
    '[platforms.linux-64]\nglibc = "2"\n',
    '[platforms.linux-64]\nglibc = "2.28\\n"\n',
    '[platforms.linux-s390x]\narchspec = "x86_64_v2"\n',
    '[platforms.linux-64]\nmusl = "1"\n',
    "[channels]\nretries = true\n",
    "[channels]\nread_timeout = 0\n",
    '[channels]\nmirrors = { "https://a.example" = ["https://b.example"] }\n',
    '[lock]\nexclude_newer = "soon"\n',
    "[unknown]\n",
    "lock = 1\n[services\n",
]
ASKED = [
    Overrides(),
    Overrides(platforms=("linux-s390x",), channels=("file:///c",), version="2", offline=True),
    Overrides(platforms=("all",), command=("x",)),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("environment.yml", "gpu.yml"):
        (tmp_path / name).write_text("dependencies: [a]\n")
    return tmp_path


def _write(project: Path, text: str) -> None:
    (project / "bundle.toml").write_text(f"{HEAD}{text}{TAIL}")


@pytest.mark.parametrize("overrides", ASKED)
@pytest.mark.parametrize("text", PLAIN)
def test_it_is_what_the_models_say(text: str, overrides: Overrides, project: Path) -> None:
    _write(project, text)
    request, lockfiles = plain_request(project, overrides, "rattler")
    config = load_config(project, overrides)
    whole = lock_request(config, "rattler")
    assert replace(request, tables=()) == replace(whole, tables=())
    assert assumed_packages(request) == assumed_packages(whole)
    assert [name for name, _ in request.tables] == [name for name, _ in whole.tables]
    assert lockfiles == injected_lockfiles(config)


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_all_else_is_left_to_the_models(text: str, project: Path) -> None:
    _write(project, text)
    with pytest.raises(NotPlainError):
        plain_request(project, Overrides(), "rattler")


def test_what_the_models_refuse_by_the_command_line(project: Path) -> None:
    _write(project, "")
    strange = [
        Overrides(name="A"),
        Overrides(name="postgres"),
        Overrides(version="-"),
        Overrides(platforms=("linux-65",)),
        Overrides(virtual_packages=project / "none.yml"),
        Overrides(environments=(project / "none.yml",)),
    ]
    for overrides in strange:
        with pytest.raises(ConfigError):
            load_config(project, overrides)
        with pytest.raises(NotPlainError):
            plain_request(project, overrides, "rattler")


def test_two_places_that_say_what_servers_have(project: Path) -> None:
    _write(project, "[platforms.linux-64]\n")
    (project / "virtual-packages.yml").write_text("subdirs: {}\n")
    with pytest.raises(NotPlainError):
        plain_request(project, Overrides(), "rattler")


def test_without_a_bundle_toml_or_a_service(project: Path) -> None:
    with pytest.raises(NotPlainError):
        plain_request(project, Overrides(environments=(project / "environment.yml",), name="a"), "rattler")
    (project / "bundle.toml").write_text(HEAD)
    with pytest.raises(NotPlainError):
        plain_request(project, Overrides(), "rattler")

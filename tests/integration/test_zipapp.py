"""`make zipapp`: conda-bundler as one file, which works without a network and without anything else of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from examplekit import CHECKOUT
from onefile import glibcs, needs, zipapp

if TYPE_CHECKING:
    from pathlib import Path

# A network of their own, without any interface that is up.
ALONE = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--map-current-user", "--net")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("zipapp")
    words: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", room]
    subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = room.glob("*.whl")
    return zipapp(wheel, room)


class Builder:
    """A machine with the file, Python and an empty home."""

    def __init__(self, made: Path, room: Path) -> None:
        self.made, self.home = made, room / "home"
        self.home.mkdir()

    def run(self, *words: str | Path, cwd: Path | None = None) -> str:
        env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "CONDA_BUNDLER_PYPI_NAMES": ""}
        command = [*ALONE, sys.executable, self.made, *words]
        done = subprocess.run(
            command, cwd=cwd or self.home, env=env, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def test_it_locks_checks_builds_and_verifies_from_an_empty_home(
    made: Path, local_channel: Path, tmp_path: Path
) -> None:
    builder = Builder(made, tmp_path)
    assert builder.run("--version").startswith("conda-bundler, version ")
    builder.run("init", "hello")
    project = builder.home / "hello"
    options = ("--channel", local_channel.as_uri(), "--virtual-packages", local_channel / "virtual-packages.yml")
    builder.run("lock", *options, cwd=project)
    builder.run("lock", "--check", *options, cwd=project)
    (bundle,) = json.loads(builder.run("build", "--json", *options, cwd=project))["bundles"]
    assert bundle["path"].startswith(str(project / "dist"))
    builder.run("verify", bundle["path"], cwd=project)
    # All of it came out of the file: nothing of this checkout, and nothing that is installed beside it.
    assert list((builder.home / ".cache" / "pex" / "venvs").glob("**/conda-lock"))


def test_its_name_says_for_which_python_and_it_says_what_else_it_needs(made: Path) -> None:
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}-linux_{os.uname().machine}"
    assert made.name.startswith("conda-bundler-")
    assert made.name.endswith(f"-{tag}.pex")
    assert f"CPython {sys.version_info.major}.{sys.version_info.minor}, {os.uname().machine}, glibc 2." in needs(made)
    names = zipfile.ZipFile(made).namelist()
    assert {"bundler/templates/install/arguments.sh", "bundler/cli.py"} <= {name.removeprefix("./") for name in names}
    assert not [name for name in names if "/pytest/" in name or "/mypy/" in name]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cryptography-50.0.2-cp311-abi3-manylinux_2_34_x86_64.whl", [(2, 34)]),
        ("cffi-2.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", [(2, 17), (2, 17)]),
        ("charset_normalizer-3.5-cp311-cp311-manylinux_2_5_x86_64.manylinux1_x86_64.whl", [(2, 5), (2, 5)]),
        ("click-8.2-py3-none-any.whl", []),
    ],
    ids=lambda value: value.partition("-")[0] if isinstance(value, str) else "",
)
def test_what_glibc_a_wheel_asks_for(name: str, found: list[tuple[int, int]]) -> None:
    assert glibcs(name) == found

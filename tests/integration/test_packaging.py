"""The distribution: what the wheel and the sdist hold, and that an installed wheel works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
TEMPLATES = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "templates").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built")
    for target in ("wheel", "sdist"):
        words = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", output]
        subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True)
    return output


def test_the_wheel_holds_the_package_and_the_templates_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"bundler/{name}" for name in TEMPLATES} <= names
    assert {"bundler/py.typed", "bundler/lock/names.json"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bundler", "conda_bundler"}
    assert not any(name.endswith(".pyc") for name in names)


def test_the_sdist_holds_what_a_distributor_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert names >= TEMPLATES
    wanted = {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "pyproject.toml",
        "requirements.txt",
        "tests/conftest.py",
    }
    assert wanted | {"examples/hello/bundle.toml", "bundler/cli.py", "benchmarks/__main__.py"} <= names
    assert not any(name.startswith(("build/", "dist/", ".venv/")) for name in names)


def test_an_installed_wheel_finds_its_own_templates(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = "import bundler.resources as r; print(r.templates_dir())"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "bundler" / "templates")

"""The distribution: what the wheel and the sdist hold, and that an installed wheel works away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from bundler import __version__
from bundler.cli import cli
from bundler.commandline.man import man_pages

CHECKOUT = Path(__file__).parent.parent.parent
TEMPLATES = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "templates").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built")
    for target in ("wheel", "sdist"):
        words = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", output]
        subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True)
    return output


def test_the_wheel_holds_the_package_the_templates_and_man_pages_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"bundler/{name}" for name in TEMPLATES} <= names
    assert {"bundler/py.typed", "bundler/wheels/names.json"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bundler", "conda_bundler"}
    data = f"conda_bundler-{__version__}.data/data/share/man/man1"
    pages = man_pages(cli, "conda-bundler")
    assert {name for name in names if ".data/" in name} == {f"{data}/{page}" for page in pages}
    with zipfile.ZipFile(wheel) as archive:
        for page, text in pages.items():
            assert archive.read(f"{data}/{page}").decode() == text
        (licence,) = (name for name in names if name.endswith("/licenses/LICENSE"))
        assert archive.read(licence) == (CHECKOUT / "LICENSE").read_bytes()
        (entries,) = (name for name in names if name.endswith("/entry_points.txt"))
        told = archive.read(entries).decode()
    assert "[console_scripts]\nconda-bundler = bundler.cli:main" in told
    assert "[conda]\nconda-bundler = bundler.condaplugin" in told
    assert not any("test" in name.split("/") or "tests" in name.split("/") for name in names)
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
        "hatch_build.py",
        "recipe/recipe.yaml",
        "docs/reference/command-line.md",
        "action.yml",
        "ci/gitlab.yml",
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


def test_groff_and_mandoc_find_nothing_wrong_with_the_man_pages(tmp_path: Path) -> None:
    for program in ("mandoc", "man"):
        if not shutil.which(program):
            pytest.skip(f"{program} is missing; tests/tools installs it")
    for name, text in man_pages(cli, "conda-bundler").items():
        page = tmp_path / name
        page.write_text(text)
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
        )
        # A date would be that of the build; two builds of the same commit are the same bytes.
        assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
        env = os.environ | {"MANROFFSEQ": "", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
        shown = subprocess.run(
            ["man", "--warnings", "-l", page], capture_output=True, text=True, check=True, env=env
        )  # fmt: skip
        assert shown.stderr == ""
        assert "EXIT STATUS" in shown.stdout

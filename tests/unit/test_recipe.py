"""recipe/recipe.yaml: rattler-build reads it, and it says what pyproject.toml does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import rattler_build
import yaml
from packaging.requirements import Requirement

from bundler import __version__
from bundler.wheels.names import conda_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parent.parent.parent
TEXT = (CHECKOUT / "recipe" / "recipe.yaml").read_text(encoding="utf-8")
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture
def recipe() -> dict[str, Any]:
    return dict(yaml.safe_load(TEXT))


def test_rattler_build_reads_it(tmp_path: Path) -> None:
    def read(text: str) -> rattler_build.Stage0Recipe:
        return rattler_build.Stage0Recipe.from_yaml(text, recipe_dir=tmp_path)

    assert isinstance(read(TEXT), rattler_build.Stage0Recipe)
    with pytest.raises(Exception, match="requirement"):
        read(TEXT.replace("\nrequirements:", "\nrequirement:"))


def conda_spec(text: str) -> str:
    requirement = Requirement(text)
    specifiers = sorted(map(str, requirement.specifier), reverse=True)
    return f"{conda_names().get(requirement.name, requirement.name)} {','.join(specifiers)}".strip()


def test_it_needs_what_the_project_needs(recipe: dict[str, Any]) -> None:
    needs = {f"python {PROJECT['project']['requires-python']}", *map(conda_spec, PROJECT["project"]["dependencies"])}
    assert set(recipe["requirements"]["run"]) == needs
    builds = {"pip", f"python {PROJECT['project']['requires-python']}"}
    assert set(recipe["requirements"]["host"]) == builds | set(map(conda_spec, PROJECT["build-system"]["requires"]))


def test_it_has_the_version_and_the_commands(recipe: dict[str, Any]) -> None:
    assert recipe["context"]["version"] == __version__
    scripts = [f"{name} = {target}" for name, target in PROJECT["project"]["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    assert recipe["about"]["license"] == PROJECT["project"]["license"]

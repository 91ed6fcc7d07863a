"""docs/development/recipes.md: each list of files is true. Each is done on a copy, whole, and without each file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from examplekit import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE = CHECKOUT / "docs" / "development" / "recipes.md"
COPIED = ("bundler", "templates", "tests/fuzz", "tests/support", "tests/unit")
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """``changes``: file -> what stands there (nothing: the file is new) and what comes in its place, and so on.

    ``holds`` is run in the copy, by Python; it fails without the recipe and without any file of it.
    """

    changes: Mapping[str, tuple[str, ...]]
    holds: tuple[str, ...]


RENDERED = """
from installkit import Spec, script
from bundler.installer.render import render_{what}
import subprocess, sys
text = render_{what}(script(Spec(), "0" * 64, {{}}))
{then}
"""
RUN = 'done = subprocess.run(["sh", "-s", "--", *{words}], input=text, capture_output=True, text=True)\n'


def python(script: str) -> tuple[str, str]:
    return "-c", script


def shell(what: str, *then: str) -> tuple[str, str]:
    """install.sh or manage as it is rendered in the copy, and what is done with it."""
    return python(RENDERED.format(what=what, then="".join(then)))


RECIPES = {
    "A key of bundle.toml": Recipe(
        changes={
            "bundler/config/model.py": (
                "    bytecode: Literal[",
                '    colour: str = "red"\n    """What nobody needs a bundle to have."""\n    bytecode: Literal[',
            ),
            "docs/reference/bundle-toml.md": (
                "| `bytecode` |",
                '| `colour` | text | `"red"` | What nobody needs a bundle to have. |\n| `bytecode` |',
            ),
        },
        holds=python("""
from pathlib import Path
from bundler.config.reference import make_reference
page = Path("docs/reference/bundle-toml.md").read_text()
assert make_reference() == page and "`colour`" in page
"""),
    ),
    "A subcommand of manage": Recipe(
        changes={
            "templates/manage/greet.sh": ("", "\n# --- greet\n\ngreet() {\n    echo good morning\n    exit 0\n}\n"),
            "bundler/installer/partials.py": ('"arguments", "status"', '"arguments", "greet", "status"'),
            "templates/manage/commands.sh": (
                '    "$1" releases ',
                '    "$1" greet - - check_no_operand greet "greet" "say good morning"\n    "$1" releases ',
            ),
        },
        # Where nothing is installed manage ends before it does what it is asked for.
        holds=shell(
            "manage",
            'text = text.replace("\\n    find_root\\n", "\\n", 1)\n',
            RUN.format(words=["greet"]),
            'assert done.stdout == "good morning\\n", done.stderr',
        ),
    ),
    "A preflight check": Recipe(
        changes={
            "templates/install/preflight.sh": (
                "\npreflight() {\n",
                '\ncheck_moon() {\n    problem "the moon is full" "Wait."\n}\n\npreflight() {\n    check_moon\n',
            )
        },
        holds=shell(
            "install",
            "text = text.replace('\\nmain \"$@\"\\n', '\\nset_places\\npreflight\\n', 1)\n",
            RUN.format(words=[]),
            'assert (done.returncode, "the moon is full\\n  Wait." in done.stderr) == (10, True), done.stderr',
        ),
    ),
    "A partial of install.sh or manage": Recipe(
        changes={
            "templates/lib/moon.sh": ("", '\n# --- moon\n\nMOON=full\n\ntell_moon() {\n    say "$MOON"\n}\n'),
            "bundler/installer/partials.py": ('("printable", "say"', '("printable", "say", "moon"'),
        },
        holds=shell("install", "assert 'tell_moon() {' in text"),
    ),
    "An exit code": Recipe(
        changes={
            "bundler/errors.py": (
                "class MissingToolError(",
                'class MoonError(BundlerError):\n    """Full."""\n\n    exit_code = 42\n\n\nclass MissingToolError(',
            ),
            "bundler/commandline/pages.py": (
                *("    130: ", '    42: "the moon is full",\n    130: '),
                *("        exits=(3, ", "        exits=(42, 3, "),
            ),
        },
        holds=python("""
import sys
sys.path.insert(0, "tests/unit")
import test_commandline as tests
tests.test_the_exit_codes_are_those_of_the_errors()
assert 42 in tests.every_error()
"""),
    ),
    "A fuzz target": Recipe(
        changes={
            "tests/fuzz/configs.py": (
                "TARGETS = (\n",
                'TARGETS = (\n    Target(name="moon", inputs=texts_like("full"), run=lambda data, room: None),\n',
            )
        },
        holds=(*PYTEST, "tests/fuzz/test_fuzz.py::test_fuzz[moon]"),
    ),
}


def sections() -> dict[str, str]:
    """Title -> text."""
    parts = re.split(r"^## (.*)\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def listed(title: str) -> list[str]:
    """The files of a recipe's list, in order."""
    items = re.findall(r"^- (.*?):", sections()[title], re.MULTILINE)
    return [path for item in items for path in re.findall(r"`([^`]+)`", item)]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for room in COPIED:
        shutil.copytree(CHECKOUT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    shutil.copytree(CHECKOUT / "docs" / "reference", tmp_path / "docs" / "reference")
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def apply(recipe: Recipe, copy: Path, *, without: str = "") -> None:
    for path, edits in recipe.changes.items():
        text = (copy / path).read_text() if edits[0] else ""
        assert (copy / path).exists() == bool(edits[0])
        for before, after in zip(edits[::2], edits[1::2], strict=True):
            assert not before or before in text, f"{path} has no {before!r}"
            text = text.replace(before, after, 1) if before else after
        if path != without:
            (copy / path).write_text(text)


def holds(recipe: Recipe, copy: Path) -> str:
    """Empty if it does; else what was said."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = plain | {
        "PYTHONPATH": os.pathsep.join(map(str, (copy, copy / "tests" / "support", copy / "tests"))),
        "FUZZ_SECONDS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, *recipe.holds], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("title", RECIPES)
def test_all_files_of_a_recipe_have_to_change_and_no_others(title: str, copy: Path) -> None:
    recipe = RECIPES[title]
    own = {"greet": "NAME", "moon": "NAME"}
    named = [re.sub(r"/(greet|moon)\.sh$", lambda found: f"/{own[found[1]]}.sh", path) for path in recipe.changes]
    assert listed(title) == named
    assert holds(recipe, copy)
    for path in recipe.changes:
        room = copy / "without" / path.replace("/", "-")
        shutil.copytree(copy, room, ignore=shutil.ignore_patterns("without"))
        apply(recipe, room, without=path)
        assert holds(recipe, room), f"without {path} it holds as well"
    apply(recipe, copy)
    assert holds(recipe, copy) == ""


def test_every_recipe_with_a_list_is_tried() -> None:
    assert {title for title in sections() if listed(title)} == {*RECIPES, "An example"}


def test_an_example_is_what_the_recipe_says() -> None:
    """Each that there is; what it takes for its channel differs too much for a copy."""
    kinds = [path for path in listed("An example") if path.startswith("examples/")]
    assert listed("An example") == [*kinds, "Makefile"]
    head = (CHECKOUT / "Makefile").read_text().partition("\nPYTHON")[0]
    tests = "".join(path.read_text() for path in (CHECKOUT / "tests" / "e2e").glob("test_*.py"))
    examples = CHECKOUT / "examples"
    made = {path.parent.relative_to(examples).as_posix() for path in examples.rglob("bundle.toml")}
    assert made
    for name in made:
        assert [path for path in kinds if not (CHECKOUT / path.replace("NAME", name)).exists()] == []
        assert re.search(rf"\b{name}\b", head), f"{name} is not in the list at the head of the Makefile"
        assert f'"{name.partition("/")[0]}' in tests, f"no end-to-end test builds {name}"


def test_every_file_that_the_page_names_exists() -> None:
    named = {
        path for path in re.findall(r"`([\w./-]+/[\w./-]*|\w+\.md)`", PAGE.read_text("utf-8")) if "NAME" not in path
    }
    assert len(named) > 20
    assert [path for path in sorted(named) if not path.startswith("/") and not (CHECKOUT / path).exists()] == []


def test_the_switch_for_failing_tests_is_the_one_that_there_is() -> None:
    from keeping import KEEP

    assert f"# {KEEP}=1 .venv/bin/pytest tests/e2e/" in sections()["A failing end-to-end test"]

"""The table of rooms in CONTRIBUTING.md ("Layout") and what there is: each has the other's names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
TABLE = re.compile(r"^## Layout\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
PROSE = ("CONTRIBUTING.md", *(f"docs/development/{page.name}" for page in (CHECKOUT / "docs/development").glob("*.md")))


def named() -> set[str]:
    """What the first column has, paths from the top of the repository without a slash at their end."""
    found = TABLE.search((CHECKOUT / "CONTRIBUTING.md").read_text("utf-8"))
    assert found
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", found[0], re.MULTILINE)
    assert all(text.strip() for _, text in rows)
    paths = [path.rstrip("/") for names, _ in rows for path in re.findall(r"`([^`]+)`", names)]
    assert len(set(paths)) == len(paths), "a room has two rows"
    return set(paths)


def rooms() -> set[str]:
    """Modules and packages of bundler/, directories of templates/ and tests/."""
    package = CHECKOUT / "bundler"
    modules = {path for path in package.glob("*.py") if not path.name.startswith("__")}
    packages = {path.parent for path in package.glob("*/__init__.py")}
    directories = {path for room in ("templates", "tests") for path in (CHECKOUT / room).iterdir() if _holds(path)}
    return {path.relative_to(CHECKOUT).as_posix() for path in modules | packages | directories}


def _holds(path: Path) -> bool:
    """Whether it is a directory with more in it than what Python leaves behind."""
    return path.is_dir() and any("__pycache__" not in one.parts for one in path.rglob("*") if one.is_file())


def test_every_room_is_in_the_table() -> None:
    assert sorted(rooms() - named()) == []


def test_whatever_the_table_names_exists() -> None:
    assert sorted(path for path in named() if not (CHECKOUT / path).exists()) == []


def test_packages_within_a_room_are_named_in_its_row() -> None:
    text = (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(bundler/\w+)/`.*? \| (.*) \|$", text, re.MULTILINE))
    within = [path.parent for path in (CHECKOUT / "bundler").glob("*/*/__init__.py")]
    assert within
    lacking = [path.name for path in within if f"`{path.name}/`" not in rows[f"bundler/{path.parent.name}"]]
    assert lacking == []
    for room, row in rows.items():
        assert [name for name in re.findall(r"`(\w+)/`", row) if not (CHECKOUT / room / name).is_dir()] == [], room


@pytest.mark.parametrize("page", PROSE)
def test_files_that_the_pages_for_contributors_name_exist(page: str) -> None:
    """In code marks, from the top of the repository; a name with a capital word in it stands for any."""
    text = (CHECKOUT / page).read_text("utf-8")
    tops = "|".join(sorted(path.name for path in CHECKOUT.iterdir() if path.is_dir() and not path.name.startswith(".")))
    paths = re.findall(rf"`((?:{tops})/[\w./-]*)`", text)
    made = ("build/", "dist/")
    assert [
        one for one in paths if not one.startswith(made) and "NAME" not in one and not (CHECKOUT / one).exists()
    ] == []

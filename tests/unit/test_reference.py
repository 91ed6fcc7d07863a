"""What the JSON schema and docs/reference/bundle-toml.md say of bundle.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundler.config.fields import Model
from bundler.config.reference import make_reference
from bundler.config.schema import make_schema

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "bundle-toml.md"


def properties() -> dict[str, Any]:
    """Of all tables, by table and key."""
    schema = make_schema()
    tables = {"": schema, **schema["$defs"]}
    return {f"{table}.{key}": value for table, model in tables.items() for key, value in model["properties"].items()}


def test_every_key_has_a_description() -> None:
    found = properties()
    assert len(found) > 100
    assert [key for key, value in found.items() if not value.get("description")] == []
    assert [name for name, model in make_schema()["$defs"].items() if not model.get("description")] == []


def test_every_table_is_in_the_schema() -> None:
    ours = {model.__name__ for model in Model.__subclasses__() if model.__module__.startswith("bundler.")}
    assert {*make_schema()["$defs"], "BundleFile"} == ours


def test_no_default_is_what_toml_cannot_write() -> None:
    assert [key for key, value in properties().items() if "default" in value and "$ref" in value] == []
    assert [key for key, value in properties().items() if value.get("default", "") is None] == []


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == make_reference(), "make reference"


def test_each_key_has_a_row() -> None:
    """Of as many cells as there are columns, whatever is in them."""
    rows = [line for line in make_reference().splitlines() if line.startswith("| `")]
    assert {row.replace(r"\|", "").count("|") for row in rows} == {5}
    keys = sorted(key.partition(".")[2] for key in properties() if not key.startswith("."))
    assert sorted(row.split("`")[1] for row in rows) == keys


def test_what_does_not_count_says_so() -> None:
    page = make_reference()
    assert "Not part of the build id: a location; the locked packages count." in page
    (row,) = (
        line
        for line in page.splitlines()
        if line.startswith("| `exclude` | list of text |  | Patterns (fnmatch) of files")
    )
    assert "build id" not in row

"""What `init` writes is good by the configuration's own rules, and by the schema that editors use."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from bundler.config.project import load_config
from bundler.config.schema import make_schema
from bundler.errors import ConfigError
from bundler.project_templates import DEFAULT, STARTING_POINTS, bundle_name, start
from bundler.resources import templates_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parent.parent.parent
GOOD = '[bundle]\nname = "a"\n[services.a]\ncommand = ["x"]\n'


def checked(text: str) -> Any:
    """A bundle.toml, against the schema."""
    return fastjsonschema.compile(make_schema(), use_default=False)(tomllib.loads(text))


def test_there_is_a_directory_for_each() -> None:
    assert sorted(path.name for path in (templates_dir() / "init").iterdir()) == sorted(STARTING_POINTS)
    assert DEFAULT in STARTING_POINTS


@pytest.mark.parametrize("name", STARTING_POINTS)
def test_it_is_good_in_every_way(tmp_path: Path, name: str) -> None:
    written = start(tmp_path / "My Project", name)
    assert written[0].name == "bundle.toml"
    assert sorted(written) == sorted(path for path in (tmp_path / "My Project").rglob("*") if path.is_file())
    config = load_config(tmp_path / "My Project")
    assert config.name == "my-project"
    assert [service.name for service in config.services] == ["my-project"]
    text = written[0].read_text()
    checked(text)
    assert all(len(line) <= 120 for line in text.splitlines())
    assert text.count("#") > 10
    assert not any(word in text for word in ("<{", "<%", "<#"))


@pytest.mark.parametrize(
    ("directory", "name"),
    [("hello", "hello"), ("My App_2", "my-app-2"), ("42-things", "things"), ("--x--", "x"), ("a" * 40, "a" * 31),
     ("a" * 30 + "-b", "a" * 30), ("Café", "caf")],
)  # fmt: skip
def test_the_name_is_the_directorys(tmp_path: Path, directory: str, name: str) -> None:
    assert bundle_name(tmp_path / directory) == name


@pytest.mark.parametrize("directory", ["42", "---", "日本"])
def test_a_directory_that_gives_no_name(tmp_path: Path, directory: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used as"):
        start(tmp_path / directory, DEFAULT)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "serve.py").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"already exists: serve.py"):
        start(tmp_path / "x", DEFAULT)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["serve.py"]


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        start(tmp_path / "x", DEFAULT)


@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / "examples").rglob("bundle.toml")), ids=lambda path: path.parent.name
)
def test_the_examples_are_good_by_the_schema(path: Path) -> None:
    checked(path.read_text())


@pytest.mark.parametrize(
    "bad",
    [
        GOOD.replace('name = "a"', "name = 1"),
        GOOD.replace('name = "a"', 'name = "A"'),
        GOOD.replace('name = "a"', ""),
        GOOD.replace("command", "comand"),
        GOOD.replace('["x"]', "[]"),
        GOOD.replace("[services.a]", "[services.A]"),
        GOOD + '[config]\n"a b" = "x"\n',
        GOOD + "[config]\nA = 1\n",
        GOOD + "[secrets]\nA = true\n",
        GOOD + '[services.a.unit.Nothing]\nA = "x"\n',
        GOOD + "[nothing]\n",
    ],
)
def test_the_schema_refuses_what_the_build_refuses(bad: str) -> None:
    checked(GOOD)
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        checked(bad)


def test_the_schema_is_for_people_and_stable() -> None:
    schema = make_schema()
    assert json.dumps(schema) == json.dumps(make_schema())
    text = json.dumps(schema)
    assert '"null"' not in text
    assert "_File" not in text
    assert {"Health", "ServiceTable", "BundleTable"} <= schema["$defs"].keys()
    timeout = schema["$defs"]["Health"]["properties"]["timeout"]
    assert timeout["description"].startswith("Seconds after")
    assert schema["$defs"]["BundleTable"]["properties"]["description"]["type"] == "string"

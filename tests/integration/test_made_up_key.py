"""A key of bundle.toml is declared once: what a copy of this program knows of one more, of which one file was told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
BEFORE = '    bytecode: Literal["build", "install", "none"] = "build"\n'
DECLARED = '    colour: Literal["red", "blue"] = "red"\n    """What nobody needs a bundle to have."""\n'
ASK = """
import json, sys
from pathlib import Path
from bundler.bundle.identity import identify
from bundler.config.project import load_config
from bundler.config.reference import make_reference
from bundler.config.schema import make_schema
from bundler.errors import ConfigError
from bundler.inputs import Inputs
from bundler.locked import Lock

REST = '[services.a]\\ncommand = ["x"]\\n'

NOTHING = Inputs(environments=(), categories=(), local=(), app=())

def built(line):
    Path("bundle.toml").write_text(f'[bundle]\\nname = "a"\\nversion = "1"\\n{line}\\n{REST}')
    try:
        config = load_config(Path.cwd())
    except ConfigError as error:
        return error.message
    return identify(config, Lock(path=Path("x"), platform="linux-64", packages=()), NOTHING).build_id

json.dump({
    "schema": make_schema()["$defs"]["BundleTable"]["properties"]["colour"],
    "reference": make_reference(),
    "default": built(""), "red": built('colour = "red"'), "blue": built('colour = "blue"'),
    "green": built('colour = "green"'), "number": built("colour = 1"),
}, sys.stdout)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The program with one more key, which one file declares."""
    shutil.copytree(CHECKOUT / "bundler", tmp_path / "bundler", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "bundler" / "templates").symlink_to(CHECKOUT / "templates")
    model = tmp_path / "bundler" / "config" / "model.py"
    text = model.read_text()
    assert text.count(BEFORE) == 1
    model.write_text(text.replace(BEFORE, DECLARED + BEFORE))
    return tmp_path


def test_all_that_has_to_know_a_key_knows_it_by_its_declaration(copy: Path) -> None:
    project = copy / "project"
    project.mkdir()
    (project / "environment.yml").write_text("channels: [x]\ndependencies: [a]\n")
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == {
        "default": "red",
        "description": "What nobody needs a bundle to have.",
        "enum": ["red", "blue"],
        "type": "string",
    }
    row = '| `colour` | `"red"`, `"blue"` | `"red"` | What nobody needs a bundle to have. |'
    assert row in told["reference"].splitlines()
    assert told["default"] == told["red"] != told["blue"]
    assert told["green"] == 'bundle.colour: is the text \'green\'; it must be "red" or "blue"'
    assert told["number"].startswith("bundle.colour: is the number 1")

    page = (CHECKOUT / "docs" / "reference" / "bundle-toml.md").read_text()
    assert set(told["reference"].splitlines()) - set(page.splitlines()) == {row}
    sources = [path for path in (copy / "bundler").rglob("*") if path.is_file()]
    changed = [path for path in sources if path.read_bytes() != (CHECKOUT / path.relative_to(copy)).read_bytes()]
    assert [path.name for path in changed] == ["model.py"]  # with the page, which is written by a command, two files

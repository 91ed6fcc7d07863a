"""A build reads each file of the project once: whatever changes while it runs, the bundle is of one state of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from smallbundle import CONFIG, build, make_channel, make_project
from tinychannel import make_package

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")

PATTERN = "pkgs/noarch/*.conda"
WATCHED = """
import json, sys
from pathlib import Path

seen = {"open": [], "glob": []}

def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".yml", ".toml")):
        seen["open"].append(str(arguments[0]))
    if event == "glob.glob":
        seen["glob"].append(arguments[0])

sys.addaudithook(hook)
from bundler.cli import cli
try:
    cli()
finally:
    Path("seen.json").write_text(json.dumps(seen))
"""


def test_each_file_and_pattern_once(tmp_path: Path) -> None:
    config = CONFIG.replace('version = "1.0"', f'version = "1.0"\ninject = ["{PATTERN}"]')
    channel, project = make_channel(tmp_path / "channel"), make_project(tmp_path / "project", config=config)
    make_package(project / "pkgs", "extra", "1.0", files={"share/extra": b"x"})
    build(project, channel, "dir")  # locked, and the packages are in the cache
    words = ["build", str(project), "--channel", channel.as_uri(), "--format", "dir", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *words],
        cwd=tmp_path, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    for name in ("environment.yml", "bundle.toml"):
        assert seen["open"].count(str(project / name)) == 1, name
    assert seen["glob"].count(PATTERN) == 1

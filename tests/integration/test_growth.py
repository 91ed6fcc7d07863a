"""Three times the packages cost three times as much at most, and little memory; `make bench` has the large figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tinychannel import File, index, make_package

if TYPE_CHECKING:
    from pathlib import Path

LARGE, SMALL = 300, 100
CONFIG = """
[bundle]
name = "many"
version = "1.0"
[services.many]
command = ["many"]
profile = "generic"
"""

# A process's peak is never below that of the one which it was forked from: not from ours, which is large.
MEASURE = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[1:]])
_, status, used = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a command and all its children; bytes of the largest of them."""

    cpu: float
    peak: int


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "channel"
    names = [f"one-of-{number:03}" for number in range(LARGE)]
    for name in names:
        files = {f"lib/{name}/{number}": f"{name} {number}\n".encode() * 50 for number in range(20)}
        make_package(path, name, "1.0", files=files)
    program = {"bin/many": File(content=b"#!/bin/sh\n", mode=0o755)}
    for count in (SMALL, LARGE):
        make_package(path, f"all-{count}", "1.0", depends=names[:: LARGE // count], files=program)
    index(path)
    return path


def cost(cache: Path, *words: str | Path) -> Cost:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "-m", "bundler", *words, "--quiet"],
        env=os.environ | {"CONDA_BUNDLER_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    status, cpu, kib = done.stdout.split()[-3:]
    assert status == "0"
    return Cost(cpu=float(cpu), peak=int(kib) << 10)


def test_packages_grow_no_worse_than_linearly(channel: Path, tmp_path: Path) -> None:
    costs: dict[str, list[Cost]] = {"lock": [], "build": []}
    for count in (SMALL, LARGE):
        project = tmp_path / f"{count}"
        project.mkdir()
        (project / "bundle.toml").write_text(CONFIG)
        (project / "environment.yml").write_text(f"channels: [{channel.as_uri()}]\ndependencies: [all-{count}]\n")
        output = ("--output-dir", project / "dist", "--format", "dir")
        costs["lock"].append(cost(project / "cache", "lock", project))
        costs["build"].append(cost(project / "cache", "build", project, *output))
        (bundle,) = (project / "dist").glob("many-*")
        assert len(json.loads((bundle / "manifest.json").read_text())["packages"]) == count + 1
    for step, (small, large) in costs.items():
        assert large.cpu <= small.cpu * LARGE / SMALL, step
        assert large.peak < 300e6, step

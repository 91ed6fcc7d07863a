"""Bundles built by the real command, and how a test installs one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.machine import Machine

__all__ = ["build", "install"]


def build(project: Path, channel: Path, output: Path, *options: str) -> Path:
    """Lock and build a project with the real command; the bundle's directory."""
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "bundler",
        "build",
        project,
        "--channel",
        channel.as_uri(),
        "--format",
        "dir",
    ]
    words += ["--virtual-packages", channel / "virtual-packages.yml", "--output-dir", output, "--json", *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["bundles"][0]["path"])


def install(machine: Machine, bundle: Path) -> None:
    machine.copy_in(bundle, f"/root/{bundle.name}")
    done = machine.run("sh", "-c", f"sh /root/{bundle.name}/install.sh >/root/install.log 2>&1")
    assert done.status == 0, machine.run("cat", "/root/install.log").stdout

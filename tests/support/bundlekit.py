"""Bundles built by the real command, and how a test installs one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commandkit import conda_bundler

from bundler.bundle.manifest import SCHEMA

if TYPE_CHECKING:
    from bundler.machine import Machine

__all__ = ["LEAST", "build", "install"]

LEAST: dict[str, Any] = {
    "schema": SCHEMA,
    "made_by": "conda-bundler 0.1.0",
    "name": "small",
    "version": "1.0",
    "description": "",
    "platform": "linux-64",
    "build_id": "0" * 12,
    "release": "1.0-" + "0" * 12,
    "root": "/opt/small",
    "baked_prefix": "/opt/small/releases/1.0-000000000000/env",
    "tree_digest": "0" * 64,
    "payload": {
        "path": "payload.tar.gz",
        "codec": "gzip",
        "sha256": "0" * 64,
        "size": 30,
        "files": 1,
        "unpacked_size": 1,
        "segments": [],
    },
    "requires": {"machine": "x86_64"},
    "services": [],
    "packages": [],
}
"""A manifest with no more in it than one must have."""


def build(project: Path, channel: Path, output: Path, *options: str) -> Path:
    """Lock and build a project with the real command; the bundle's directory."""
    words: list[str | Path] = ["build", project, "--channel", channel.as_uri(), "--format", "dir"]
    words += ["--virtual-packages", channel / "virtual-packages.yml", "--output-dir", output, "--json", *options]
    done = conda_bundler(*words, timeout=900)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["bundles"][0]["path"])


def install(machine: Machine, bundle: Path) -> None:
    machine.copy_in(bundle, f"/root/{bundle.name}")
    done = machine.run("sh", "-c", f"sh /root/{bundle.name}/install.sh >/root/install.log 2>&1")
    assert done.status == 0, machine.run("cat", "/root/install.log").stdout

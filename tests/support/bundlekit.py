"""Bundles built by the real command, and how a test installs one."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.bundle.manifest import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.machine import Machine

__all__ = ["LEAST", "build", "install", "members_of", "payload_of"]

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
    "baked_prefix": "/opt/small/envs/000000000000",
    "tree_digest": "0" * 64,
    "environment_id": "0" * 12,
    "layers": [
        {
            "name": name,
            "path": f"{name}.tar.gz",
            "codec": "gzip",
            "sha256": "0" * 64,
            "size": 30,
            "files": 1,
            "unpacked_size": 1,
            "segments": [],
        }
        for name in ("environment", "app")
    ],
    "requires": {"machine": "x86_64"},
    "services": [],
    "packages": [],
}
"""A manifest with no more in it than one must have."""


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


def members_of(bundle: Path) -> dict[str, tarfile.TarInfo]:
    """Everything in the payloads of a bundle's directory, by its path below the release."""
    return {info.name: info for info, _ in _unpacked(bundle)}


def payload_of(bundle: Path) -> dict[str, bytes]:
    """Every file's content."""
    return {info.name: content for info, content in _unpacked(bundle) if info.isfile()}


def _unpacked(bundle: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for layer in ("environment", "app"):
        (path,) = bundle.glob(f"{layer}.tar*")
        with tarfile.open(path) as tar:
            names = tar.getnames()
            assert len(set(names)) == len(names)
            for info in tar:
                yield info, tar.extractfile(info).read() if info.isfile() else b""  # type: ignore[union-attr]


def install(machine: Machine, bundle: Path) -> None:
    machine.copy_in(bundle, f"/root/{bundle.name}")
    done = machine.run("sh", "-c", f"sh /root/{bundle.name}/install.sh >/root/install.log 2>&1")
    assert done.status == 0, machine.run("cat", "/root/install.log").stdout

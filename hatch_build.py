"""Hatchling's hook: the wheel brings the man pages, made from the commands themselves, and the documentation.

The documentation is only in a wheel that is built with its directory in CONDA_BUNDLER_SITE, as `make release` does:
whoever installs from sources needs no tool to build it with.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Extras(BuildHookInterface):  # type: ignore[type-arg]
    """Man pages go into share/man/man1 of whatever the wheel is installed in, the documentation into the package."""

    _room: tempfile.TemporaryDirectory[str]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is written."""
        sys.path.insert(0, self.root)
        try:
            from bundler.cli import cli
            from bundler.commandline.man import man_pages
        finally:
            sys.path.remove(self.root)
        self._room = tempfile.TemporaryDirectory()
        for name, text in man_pages(cli, "conda-bundler").items():
            path = Path(self._room.name, name)
            path.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(path)] = f"share/man/man1/{name}"
        if site := os.environ.get("CONDA_BUNDLER_SITE"):
            build_data["force_include"][site] = "bundler/site"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called when the wheel is written."""
        self._room.cleanup()

"""``conda bundler``: conda (23.7 or later) imports this by the entry point group ``conda``; nothing else does."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from conda import plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["conda_subcommands"]


def _run(arguments: Sequence[str]) -> NoReturn:
    """In a process of its own, with the same Python: conda's handlers and settings are none of ours."""
    os.execv(sys.executable, [sys.executable, "-m", "bundler", *arguments])  # noqa: S606 -- not a shell


@plugins.hookimpl  # type: ignore[untyped-decorator]
def conda_subcommands() -> Iterator[plugins.CondaSubcommand]:
    """The hook of that name: https://docs.conda.io/projects/conda/en/stable/dev-guide/plugins/subcommands.html"""
    summary = "Turn an environment.yml into one file that installs as a systemd service."
    yield plugins.CondaSubcommand(name="bundler", summary=summary, action=_run)

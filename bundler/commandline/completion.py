"""Completion scripts of Click's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click import shell_completion

if TYPE_CHECKING:
    import click

__all__ = ["completion_script"]


def completion_script(command: click.Command, program: str, shell: str) -> str:
    """The script that makes ``shell`` complete ``program``; it asks the program itself, by an environment variable."""
    kind = shell_completion.get_completion_class(shell)
    assert kind is not None
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    # Not kind's own source(): bash's starts the bash on PATH to ask for its version.
    return shell_completion.ShellComplete.source(kind(command, {}, program, variable))

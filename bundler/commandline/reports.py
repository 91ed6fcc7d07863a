"""What `inspect` and `diff` have in common where they write pages: which files, and the dump to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_report_options", "report_options"]

_FILES = {
    "html": "Write a page for people who decide to this file; it needs no network.",
    "markdown": "Write a comment for a pull request to this file.",
}


def report_options(*forms: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a command that writes these forms."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        options = [
            click.option(
                f"--{form}", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=_FILES[form]
            )
            for form in forms
        ]
        options += [
            click.option(
                "--db",
                "database",
                type=click.Path(exists=True, path_type=Path),
                help="Also list known vulnerabilities there, by this dump of OSV's database; see `audit`.",
            ),
            click.option(
                "--ignore",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Read from this TOML file which advisories do not apply, and why.",
            ),
        ]
        for option in reversed(options):
            function = option(function)
        return function

    return add


def check_report_options(options: dict[str, Any], *files: Path | None) -> None:
    """What is said of pages where none is written is a mistake."""
    if not any(files) and (options["database"] or options["ignore"]):
        raise click.UsageError("--db and --ignore need a page to write; without one, use conda-bundler audit.")
    if options["ignore"] and not options["database"]:
        raise click.UsageError("--ignore needs --db.")

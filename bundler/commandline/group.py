"""The group of commands: what all of them have in common."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from bundler import __version__
from bundler.commandline.pages import OVERVIEW, PAGES
from bundler.errors import BundlerError
from bundler.printable import printable_lines
from bundler.progress import FORMS, set_form
from bundler.progressjson import write_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bundler.commandline.pages import Page

__all__ = ["NearChoice", "cli", "command", "output_id"]


class NearChoice(click.Choice[str]):
    """A choice that names the nearest one when it is misspelt."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As Click does it."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as wrong:
            hint = _did_you_mean(str(value), self.choices)
            raise click.BadParameter(wrong.message + hint, ctx, param) from None


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), n=2)
    return f" Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""


class _Command(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.name in PAGES:
            _write_page(PAGES[self.name], formatter)


class _Group(click.Group):
    command_class = _Command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_page(OVERVIEW, formatter)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"No such command {name!r}.{_did_you_mean(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def _write_page(page: Page, formatter: click.HelpFormatter) -> None:
    """Examples stay on one line each: whoever copies one copies all of it."""
    with formatter.section("Examples"):
        indent = " " * formatter.current_indent
        for does, line in page.examples:
            formatter.write(f"{indent}# {does}\n{indent}$ {line}\n")
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(code), meaning) for code, meaning in page.exit_codes])


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="conda-bundler")
def cli() -> None:
    """Turn an environment.yml into one file that installs and runs as a systemd service without a network."""


def command(function: Callable[..., Any]) -> Callable[..., None]:
    """What every command has: -q, -v, --debug, --json, --progress, and errors as sentences.

    The function returns a pair: lines for people, and the document that ``--json`` prints; a third element is the
    exit status where it is not 0.
    """
    name = function.__name__.replace("_", "-")

    @cli.command(name)
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else there.")
    @click.option(
        "--progress",
        "progress_form",
        type=NearChoice(FORMS),
        default="auto",
        show_default=True,
        help="Show progress as bars, as plain lines or as one JSON object a line; auto: bars on a terminal.",
    )
    @click.option("-q", "--quiet", is_flag=True, help="Suppress progress output.")
    @click.option("-v", "--verbose", is_flag=True, help="Show the commands that are run.")
    @click.option("--debug", is_flag=True, help="Show the output of these commands and, on errors, the traceback.")
    @functools.wraps(function)
    def wrapped(as_json: bool, progress_form: str, quiet: bool, verbose: bool, debug: bool, **options: Any) -> None:
        set_form(progress_form)
        _set_up_output(lines=progress_form == "json", level=_level(verbose=verbose, debug=debug))
        try:
            lines, document, *status = function(quiet=quiet, **options)
        except BundlerError as error:
            _fail(error, as_json=as_json, form=progress_form, debug=debug)
        except click.ClickException:
            raise
        except Exception as error:  # noqa: BLE001 -- the last place where a bug can become a sentence
            bug = BundlerError(
                f"{type(error).__name__}: {error}",
                where="a bug in conda-bundler",
                remedy="Run it again with --debug and report the traceback.",
            )
            _fail(bug, as_json=as_json, form=progress_form, debug=debug)
        else:
            text = _dumped(name, document) if as_json else printable_lines("\n".join(lines))
            click.echo(text)
            sys.exit(status[0] if status else 0)

    return wrapped


def output_id(name: str) -> str:
    """What ``$schema`` says in a document that ``--json`` prints: which schema it follows, in which version."""
    return f"urn:conda-bundler:output:{name}:1"


def _dumped(name: str, document: dict[str, Any]) -> str:
    return json.dumps({"$schema": output_id(name)} | document, indent=2, sort_keys=True)


def _fail(error: BundlerError, *, as_json: bool, form: str, debug: bool) -> None:
    if debug:
        logging.getLogger("bundler").exception("traceback")
    if as_json:
        click.echo(_dumped("error", {"error": error.document()}))
    if form == "json":
        write_event("error", **error.document())
    else:
        error.show()
    sys.exit(error.exit_code)


class _Printable(logging.Formatter):
    """For what other programs say, and for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


class _Events(logging.Handler):
    """With ``--progress json`` every line on standard error is an event."""

    def emit(self, record: logging.LogRecord) -> None:
        write_event("log", text=self.format(record))


def _level(*, verbose: bool, debug: bool) -> int:
    return logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING


def _set_up_output(*, lines: bool, level: int) -> None:
    handler = _Events() if lines else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Printable("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("bundler").setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs URLs, and what is secret in them
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False

"""Man pages, made from what Click knows of the commands: ``conda-bundler(1)`` and ``conda-bundler-COMMAND(1)``.

In the macros of man(7). The wheel's build calls it (hatch_build.py), so the pages are those of the very version, and
nothing of the build machine or the day is in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from bundler import __version__
from bundler.commandline.pages import OVERVIEW, PAGES

if TYPE_CHECKING:
    from bundler.commandline.pages import Page

__all__ = ["man_pages"]

_ENVIRONMENT = (
    ("CONDA_BUNDLER_CACHE", "The directory for downloads and what is made of them, instead of ~/.cache/conda-bundler."),
    ("NO_COLOR", "If set, no colors are used."),
)


def man_pages(group: click.Group, program: str) -> dict[str, str]:
    """The text of each page by its file name, such as ``conda-bundler-build.1``."""
    context = click.Context(group, info_name=program, **group.context_settings)
    pages = {f"{program}.1": _overview(group, program, context)}
    for name in group.list_commands(context):
        command = group.commands[name]
        if not command.hidden:
            title = f"{program}-{name}"
            pages[f"{title}.1"] = _command(command, title, click.Context(command, info_name=name, parent=context))
    return pages


def _overview(group: click.Group, program: str, context: click.Context) -> str:
    names = group.list_commands(context)
    lines = [*_head(program, group), *_synopsis(group, context), *_description(group), ".SH COMMANDS"]
    for name in names:
        lines += [".TP", rf"\fB{_escape(f'{program}-{name}')}\fR(1)", _escape(_summary(group.commands[name]))]
    lines += [*_options(group, context), *_page(OVERVIEW), ".SH ENVIRONMENT"]
    for variable, text in _ENVIRONMENT:
        lines += [".TP", rf"\fB{variable}\fR", _escape(text)]
    return _joined(lines)


def _command(command: click.Command, title: str, context: click.Context) -> str:
    lines = [*_head(title, command), *_synopsis(command, context), *_description(command), *_options(command, context)]
    lines += _page(PAGES[command.name]) if command.name in PAGES else []
    return _joined([*lines, ".SH SEE ALSO", r"\fBconda\-bundler\fR(1)"])


def _head(title: str, command: click.Command) -> list[str]:
    heading = f'.TH "{_escape(title.upper())}" "1" "" "conda\\-bundler {_escape(__version__)}" "conda\\-bundler"'
    return [heading, ".SH NAME", rf"{_escape(title)} \- {_escape(_summary(command).rstrip('.'))}"]


def _synopsis(command: click.Command, context: click.Context) -> list[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    return [".SH SYNOPSIS", rf"\fB{_escape(context.command_path)}\fR {_escape(pieces)}"]


def _summary(command: click.Command) -> str:
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _description(command: click.Command) -> list[str]:
    paragraphs = [" ".join(text.split()) for text in (command.help or "").split("\n\n")]
    return [".SH DESCRIPTION", "\n.PP\n".join(map(_escape, paragraphs))]


def _options(command: click.Command, context: click.Context) -> list[str]:
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    lines = [".SH OPTIONS"]
    for names, text in filter(None, records):
        if not text:  # an argument: the synopsis has it
            continue
        bold = re.sub(r"(?<![\w-])-{1,2}[\w-]+", lambda found: rf"\fB{found[0]}\fR", names)
        lines += [".TP", _escape(bold, keep=r"\fB \fR"), _escape(" ".join(text.split()))]
    return lines


def _page(page: Page) -> list[str]:
    lines = []
    for does, line in page.examples:
        lines += [".PP", f"{_escape(does)}:", ".PP", ".nf", ".RS", _escape(line), ".RE", ".fi"]
    lines = [".SH EXAMPLES", *lines[1:], ".SH EXIT STATUS"]
    for code, meaning in page.exit_codes:
        lines += [".TP", f"\\fB{code}\\fR", _escape(meaning)]
    return lines


def _escape(text: str, *, keep: str = "") -> str:
    """``text`` as roff prints it: no character in it is a command, a hyphen is one that can be copied."""
    kept = keep.split()
    parts = re.split("(" + "|".join(map(re.escape, kept)) + ")", text) if kept else [text]
    return "".join(part if part in kept else _plain(part) for part in parts)


def _plain(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...").replace("'", r"\(aq").replace("`", r"\(ga")
    return re.sub(r"(?m)^\.", r"\\&.", text).replace("^", r"\(ha").replace("~", r"\(ti")


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"

"""Man pages: one for each command, with all of its options, and nothing that roff would take for a command."""

from __future__ import annotations

import re

import click
import pytest

from bundler.cli import cli
from bundler.commandline.man import man_pages
from bundler.commandline.pages import PAGES

PAGES_BY_NAME = man_pages(cli, "conda-bundler")


def test_there_is_a_page_for_each_command_and_one_for_all() -> None:
    assert set(PAGES_BY_NAME) == {"conda-bundler.1", *(f"conda-bundler-{name}.1" for name in cli.commands)}
    for name in cli.commands:
        assert rf"\fBconda\-bundler\-{name}\fR(1)" in PAGES_BY_NAME["conda-bundler.1"]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_page_has_every_option_example_and_exit_code(name: str) -> None:
    text = PAGES_BY_NAME[f"conda-bundler-{name}.1"]
    plain = text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\(ti", "~").replace(r"\fB", "").replace(r"\fR", "")
    plain = plain.replace(r"\e", "\\").replace(r"\(ga", "`")
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert all(option in plain for option in parameter.opts)
    assert r"\fB\-h\fR, \fB\-\-help\fR" in text
    for _, line in PAGES[name].examples:
        assert f"\n{line}\n" in plain
    sections = re.findall(r"^\.SH (.*)$", text, re.MULTILINE)
    assert sections == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"
    ]  # fmt: skip
    assert all(f".TP\n\\fB{code}\\fR\n" in text for code, _ in PAGES[name].exit_codes)


def test_what_roff_would_obey_is_escaped() -> None:
    group = click.Group("x", help="Do it.\n\n.so /etc/passwd isn't a \\fBcommand\\fR; --so, ~/x and `y` ^ z.")
    text = man_pages(group, "x")["x.1"]
    assert "\n\\&.so /etc/passwd isn\\(aqt a \\efBcommand\\efR; \\-\\-so, \\(ti/x and \\(gay\\(ga \\(ha z.\n" in text

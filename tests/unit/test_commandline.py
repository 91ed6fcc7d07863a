"""What every command says of itself: whole summaries, what each option does, examples that parse, exit codes."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from bundler.cli import cli
from bundler.commandline.completion import completion_script
from bundler.commandline.pages import EXIT_CODES, OVERVIEW, PAGES
from bundler.errors import BundlerError

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = sorted(cli.commands)


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, list(words), prog_name="conda-bundler")
    return done.exit_code, done.stdout, done.stderr


def every_error(kind: type[BundlerError] = BundlerError) -> set[int]:
    return {kind.exit_code}.union(*map(every_error, kind.__subclasses__()))


def test_no_summary_is_cut_off() -> None:
    status, text, _ = run("--help")
    assert status == 0
    table = text.partition("Commands:")[2].partition("\n\n")[0]
    listed = dict(re.findall(r"^  ([a-z-]+) {2,}(.*)$", table, re.MULTILINE))
    assert sorted(listed) == COMMANDS
    for name, summary in listed.items():
        assert len(summary.split()) <= 8, name
        assert summary.endswith("."), f"{name}: {summary}"
        assert not summary.endswith("..."), f"{name}: {summary}"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_takes_the_value_of_another(name: str) -> None:
    names = [parameter.name for parameter in cli.commands[name].params]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name} has no help text"
            assert re.fullmatch(r"[A-Z].*\.", parameter.help), f"{name} {parameter.name}: {parameter.help}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_the_exit_codes(name: str) -> None:
    """A new command gets its page in bundler/commandline/pages.py."""
    status, text, _ = run(name, "--help")
    assert status == 0
    examples = text.partition("\nExamples:\n")[2].partition("\nExit codes:\n")[0]
    assert [line for _, line in PAGES[name].examples] == re.findall(r"^  \$ (.*)$", examples, re.MULTILINE)
    assert PAGES[name].examples
    codes = [int(code) for code in re.findall(r"^  (\d+) ", text.partition("\nExit codes:\n")[2], re.MULTILINE)]
    assert codes == [code for code, _ in PAGES[name].exit_codes]
    assert {0, 1, 2} <= set(codes)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    assert every_error() <= set(EXIT_CODES)
    assert set(EXIT_CODES) == every_error() | {0, 130}
    assert {code for page in PAGES.values() for code, _ in page.exit_codes} == set(EXIT_CODES)


@pytest.mark.parametrize("line", [line for page in (OVERVIEW, *PAGES.values()) for _, line in page.examples])
def test_examples_parse(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Click accepts the command, its options and its arguments; nothing is run."""
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"conda-bundler ([^&>)]*)", line.replace(".config/fish/completions/conda-bundler.fish", ""))
    assert lines
    for words in map(shlex.split, lines):
        for bundle in (
            tmp_path / word for word in words if word.endswith((".tar", ".zip", "-lock.yml", "_signers", "_ed25519"))
        ):
            bundle.parent.mkdir(exist_ok=True)
            bundle.touch()
        name, *rest = words
        cli.commands[name].make_context(name, rest).close()


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("biuld",), "No such command 'biuld'. Did you mean 'build'?"),
        (("inspekt", "x.tar"), "No such command 'inspekt'. Did you mean 'inspect'?"),
        (("build", "--output-dri", "x"), "'--output-dir'"),
        (("build", "--format", "dri"), "is not one of 'tar', 'run', 'dir'. Did you mean 'dir'?"),
        (("init", "--from", "jupiter"), "Did you mean 'jupyter'?"),
        (("completion", "fsh"), "Did you mean 'fish'"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_one(words: tuple[str, ...], near: str) -> None:
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert near in " ".join(err.split())


def test_a_word_that_is_near_to_none_gets_no_guess() -> None:
    assert "Did you mean" not in run("xyzzy")[2]
    assert "Did you mean" not in run("build", "--format", "xyzzy")[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed_as_it_is(shell: str) -> None:
    status, text, _ = run("completion", shell)
    assert status == 0
    assert text == completion_script(cli, "conda-bundler", shell) + "\n"
    assert f"_CONDA_BUNDLER_COMPLETE={shell}_complete" in text

"""manage's table of commands: what each row says is what happens. As rendered, in each shell, on no machine."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Protocol

import pytest
from installkit import Spec, script
from shellkit import SHELL_IDS, SHELLS, functions_of

from bundler.installer.render import render_manage
from bundler.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path


class Run(Protocol):
    def __call__(self, *words: str, stubs: str = "") -> subprocess.CompletedProcess[str]: ...


# What a machine would be needed for only says that it was called. Each command says what it has as operand and input.
STUBS = """
id() { echo 0; }
find_root() { echo "root for $COMMAND"; }
catch_signals() { :; }
take_lock() { echo lock; }
end_well() { exit 0; }
told() { name=$1; shift; read -r line || line=none; echo "$name <$OPERAND> $* input=$line boot=$AT_BOOT"; }
"""
ROW = re.compile(r'^    "\$1" ([a-z-]+) (\S+) (\S+) (\w+) (\w+)', re.MULTILINE)


@cache
def rows() -> list[tuple[str, ...]]:
    return ROW.findall((templates_dir() / "manage" / "commands.sh").read_text("utf-8"))


@cache
def manage() -> str:
    return render_manage(script(Spec(), "0" * 64, {}))


@pytest.fixture(params=SHELLS, ids=SHELL_IDS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """manage in a shell, with these functions in the place of its own."""

    def run(*words: str, stubs: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "manage").write_text(manage().replace('\nmain "$@"\n', f'\n{stubs}main "$@"\n', 1))
        command = [*request.param, tmp_path / "manage", *words]
        return subprocess.run(command, input="given\n", capture_output=True, text=True, check=False)

    return run


def stubbed(*functions: str) -> str:
    return STUBS + "".join(f'{name}() {{ told {name} "$@"; }}\n' for name in functions)


def test_the_functions_of_each_row_exist_and_its_lists_have_known_words() -> None:
    functions = {name for partial in functions_of("manage").values() for name in partial}
    assert len(rows()) > 10
    for word, needs, options, check, function in rows():
        assert {check, function} <= functions, word
        assert set(needs.split(",")) <= {"installed", "lock", "input", "words"}, word
        assert options == "-" or all(option.startswith("--") for option in options.split(",")), word


def test_help_lists_every_command_but_those_that_units_call(run: Run) -> None:
    done = run("--help")
    listed = re.findall(r"^  ([a-z][a-z-]+)", done.stdout, re.MULTILINE)
    assert done.returncode == 0
    assert set(listed) == {row[0] for row in rows()} - {"run", "first-boot", "recover"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert all(len(line) <= 120 and line[34:36] == "  " and line[36] != " " for line in lines), lines


WORDS = {
    "rollback": ["1.0-0123456789ab"],
    "rotate-secret": ["TOKEN"],
    "reload": ["hello.service"],
    "exec": ["hello@2.service", "--", "ls", "--json", "", "a b"],
    "run": ["hello"],
}
SAID = {
    "rollback": ["lock", "rollback <1.0-0123456789ab>  input=none boot="],
    "rotate-secret": ["lock", "rotate_secret <TOKEN>  input=none boot="],
    "reload": ["lock", "reload_services <hello>  input=none boot="],
    "restart": ["lock", "restart_services <>  input=none boot="],
    "exec": ["exec_command <hello@2> ls --json  a b input=given boot="],
    "uninstall": ["lock", "uninstall <>  input=given boot="],
    "run": ["run_service <hello>  input=none boot="],
    "first-boot": ["lock", "first_boot <>  input=none boot="],
    "recover": ["lock", "recover <>  input=none boot=yes"],
    "verify": ["lock", "verify <>  input=none boot="],
}


@pytest.mark.parametrize("word", ["status", "releases", *SAID])
def test_a_command_gets_what_it_needs_and_no_more(word: str, run: Run) -> None:
    function = {row[0]: row[4] for row in rows()}[word]
    last = {"reload": "reload_services", "recover": "recover"}.get(word, function)
    done = run(word, *WORDS.get(word, []), stubs=stubbed(last))
    said = SAID.get(word, [f"{word} <>  input=none boot="])
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"root for {word}", *said]), done.stderr


def test_reload_takes_no_lock_where_there_is_no_systemd(run: Run) -> None:
    done = run("reload", stubs=stubbed("reload_bare") + "BARE=yes\n")
    assert done.stdout.splitlines() == ["root for reload", "reload_bare <>  input=none boot="], done.stderr


def test_only_an_uninstall_goes_on_where_there_is_no_root(run: Run) -> None:
    stubs = "id() { echo 0; }\nset_places() { RECORD=/; }\nchoose_account() { :; }\nowned() { :; }\nset_bare() { :; }\n"
    stubs += "choose_unit_dir() { :; }\ntake_lock() { :; }\ncatch_signals() { :; }\nend_well() { exit 0; }\n"
    stubs += "left_root() { :; }\nuninstall() { echo going on; }\nverify() { echo going on; }\n"
    assert run("uninstall", stubs=stubs).stdout == "going on\n"
    done = run("verify", stubs=stubs)
    assert (done.returncode, done.stdout, "hello is not installed on this machine" in done.stderr) == (10, "", True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "a command is required"),
        (["--json"], "a command is required"),
        (["frobnicate"], "unknown command: frobnicate"),
        (["--what", "status"], "unknown option: --what"),
        (["status", "hello"], "unexpected argument: hello"),
        (["restart", "hello", "web"], "unexpected argument: web"),
        (["rollback", "../x"], "not the name of a release: ../x"),
        (["rotate-secret"], "rotate-secret needs the name of a secret"),
        (["rotate-secret", "A-B"], "not the name of a secret: A-B"),
        (["rotate-secret", "TOKEN", "--from"], "--from needs a value"),
        (["rotate-secret", "TOKEN", "--from="], "--from needs a file"),
        (["restart", "He llo"], "not the name of a service: He llo"),
        (["exec"], "exec needs the name of a service"),
        (["exec", "hello"], "exec needs a command to run"),
        (["exec", "hello", "--"], "exec needs a command to run"),
        (["run"], "run needs the name of a service"),
        (["rollback", "--json"], "--json is not an option of rollback, but of status and releases"),
        (["--from", "file", "restart"], "--from is not an option of restart, but of rotate-secret"),
        (["status", "--purge"], "--purge is not an option of status, but of uninstall"),
        (["uninstall", "--yes"], "--yes requires --purge"),
        (["upgrade"], "upgrade needs a bundle: a .tar, a .run or a directory"),
        (["upgrade", "a.tar", "b.tar"], "unexpected argument: b.tar"),
        (["upgrade", "a.tar", "--keep"], "--keep needs a value"),
        (["upgrade", "a.tar", "--secret", "A=b\nc"], "--secret must not contain a line break"),
        (["upgrade", "a.tar", "--json"], "--json is not an option of upgrade, but of status and releases"),
        (["rollback", "--unsigned"], "--unsigned is not an option of rollback, but of upgrade"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(words: list[str], sentence: str, run: Run) -> None:
    done = run(*words, stubs=stubbed())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"manage: error: {sentence}\n  See: manage --help\n"

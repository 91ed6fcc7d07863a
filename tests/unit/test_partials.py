"""The partials of install.sh and manage: each file belongs to a script, each function has one home."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from shellkit import Script, called_in, functions_of

from bundler.installer.partials import partials_of
from bundler.resources import templates_dir

BEFORE_ALL = {"lib/sanitize-env.sh"}  # the scripts' frames include it themselves
SCRIPTS: tuple[Script, ...] = ("install", "manage")


def test_each_partial_belongs_to_a_script() -> None:
    there = {
        path.relative_to(templates_dir()).as_posix()
        for room in ("lib", "install", "manage")
        for path in (templates_dir() / room).glob("*.sh")
    }
    assert there == {partial for script in SCRIPTS for partial in partials_of(script)} | BEFORE_ALL


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_function_is_defined_twice(script: Script) -> None:
    functions = Counter(name for partial in functions_of(script).values() for name in partial)
    assert len(functions) > 100
    assert [name for name, times in functions.items() if times > 1] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_top_level_of_a_partial_only_sets_variables(script: Script) -> None:
    """So a partial may stand anywhere, and a test may take some of them."""
    for partial in partials_of(script):
        text = (templates_dir() / partial).read_text("utf-8")
        text = re.sub(r"<<([A-Z]+)$.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"^\w+\(\) ([{(]).*?^[})]$", "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"'[^']*'|\"[^\"]*\"|#[^\n]*|\$\(printf [^)]*\)", "", text)
        text = re.sub(r"^case \$0 in\n.*?^esac$", "", text, flags=re.MULTILINE | re.DOTALL)  # where install.sh is
        others = [line for line in text.splitlines() if line and not re.match(r"[A-Z][A-Z_]*=\S*\s*$", line)]
        assert others == [], partial


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_both_share_calls_nothing_that_is_one_scripts_alone(script: Script) -> None:
    """So it does not matter who calls it. What a caller has of its own it says: a value, or a command."""
    rooms = {"lib": dict[str, str](), script: dict[str, str]()}
    for partial, functions in functions_of(script).items():
        rooms[partial.partition("/")[0]] |= functions
    called = {
        (name, other)
        for name, body in rooms["lib"].items()
        for other in called_in(body) & rooms[script].keys()
        if re.search(rf"(?:^|[;&|(!{{]|\b(?:then|do|else|if|while)\b)[ ]*{other}\b(?! *[|)])", body, re.MULTILINE)
    }
    assert called == set()
    assert [name for name, body in rooms["lib"].items() if "$PROGRAM" in body] == ["complain"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_both_share_is_used_by_both(script: Script) -> None:
    functions = {name: body for partial in functions_of(script).values() for name, body in partial.items()}
    used, called = set[str](), {"main", "as_secret"}  # the latter from the header
    while called:
        used |= called
        called = {other for name in called for other in called_in(functions[name])} & functions.keys() - used
    shared = {name for partial, names in functions_of(script).items() if partial.startswith("lib/") for name in names}
    assert shared - used <= {
        "each_secret_of",  # the other half of each_service_of
        *("as_number", "as_user_entry"),  # what is written stands beside what is read
        *("inventory_text", "print_own_user", "print_secret", "print_service"),
        "install_is_running",  # share/watch.sh.j2 asks, too
    }

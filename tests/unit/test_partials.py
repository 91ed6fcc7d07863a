"""The partials of install.sh and manage: each file belongs to a script, each function has one home."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

import pytest

from bundler.resources import templates_dir
from bundler.target.partials import partials_of

BEFORE_ALL = {"lib/sanitize-env.sh"}  # the scripts' frames include it themselves
SCRIPTS: tuple[Literal["install", "manage"], ...] = ("install", "manage")


def test_each_partial_belongs_to_a_script() -> None:
    there = {
        path.relative_to(templates_dir()).as_posix()
        for room in ("lib", "install", "manage")
        for path in (templates_dir() / room).glob("*.sh")
    }
    assert there == {partial for script in SCRIPTS for partial in partials_of(script)} | BEFORE_ALL


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_function_is_defined_twice(script: Literal["install", "manage"]) -> None:
    texts = [(templates_dir() / partial).read_text("utf-8") for partial in partials_of(script)]
    functions = Counter(name for text in texts for name in re.findall(r"^(\w+)\(\) [{(]", text, re.MULTILINE))
    assert len(functions) > 100
    assert [name for name, times in functions.items() if times > 1] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_top_level_of_a_partial_only_sets_variables(script: Literal["install", "manage"]) -> None:
    """So a partial may stand anywhere, and a test may take some of them."""
    for partial in partials_of(script):
        text = (templates_dir() / partial).read_text("utf-8")
        text = re.sub(r"<<([A-Z]+)$.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"^\w+\(\) ([{(]).*?^[})]$", "", text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"'[^']*'|\"[^\"]*\"|#[^\n]*|\$\(printf [^)]*\)", "", text)
        text = re.sub(r"^case \$0 in\n.*?^esac$", "", text, flags=re.MULTILINE | re.DOTALL)  # where install.sh is
        others = [line for line in text.splitlines() if line and not re.match(r"[A-Z][A-Z_]*=\S*\s*$", line)]
        assert others == [], partial

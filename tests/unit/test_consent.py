"""Whose link scripts may run, and what is said of the others."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError
from bundler.linkscripts.consent import Consent
from bundler.printable import last_lines, printable

LOCKED = {"graphviz", "fontconfig", "zlib"}


def test_who_is_covered() -> None:
    some, everybody = Consent(packages=("graphviz",)), Consent(packages="all")
    assert [some.covers("graphviz"), some.covers("graph"), everybody.covers("graph")] == [True, False, True]
    assert not Consent().covers("graphviz")


def test_the_line_to_add_keeps_what_is_there() -> None:
    assert Consent().line("graphviz") == 'link_scripts = ["graphviz"]'
    assert Consent(packages=("zlib", "graphviz")).line("fontconfig") == (
        'link_scripts = ["fontconfig", "graphviz", "zlib"]'
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("graphvis", "no package 'graphvis' is locked; did you mean 'graphviz'?"),
        ("Graphviz", "no package 'Graphviz' is locked; did you mean 'graphviz'?"),
        ("quite-another", "no package 'quite-another' is locked"),
        ("", "no package '' is locked"),
    ],
)
def test_a_name_that_is_not_locked(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Consent(packages=("zlib", name), where="bundle.toml: bundle.link_scripts").check_names(LOCKED)
    assert (caught.value.message, caught.value.where) == (sentence, "bundle.toml: bundle.link_scripts")
    Consent(packages="all").check_names(LOCKED)


def test_a_package_without_a_script() -> None:
    consent = Consent(packages=("graphviz", "zlib"))
    with pytest.raises(ConfigError, match="zlib has neither a pre-link nor a post-link script") as caught:
        consent.check_scripts(LOCKED, {"graphviz"})
    assert caught.value.remedy == "Packages with link scripts: graphviz."
    consent.check_scripts({"graphviz"}, {"graphviz"})  # zlib is another platform's


@pytest.mark.parametrize(("path", "packed"), [("var/log/a", False), ("var/log/kept", True), ("lib/a", True)])
def test_patterns_say_what_counts(path: str, packed: bool) -> None:
    assert Consent(packages="all", exclude=("var/*",), include=("*/kept",)).packs(path) is packed


def test_words_of_others_do_not_steer_a_terminal() -> None:
    assert printable("\x1b[2J\udcff é") == "\\x1b[2J\\udcff é"
    assert last_lines("a\n\n\tb\r\n" + "x" * 400, 2) == ("        b", "x" * 300 + "…")

"""Comments in brackets: what is a selector, where it holds, and what conda-lock is shown."""

from __future__ import annotations

import pytest
import yaml

from bundler.errors import ConfigError
from bundler.lock.environment.blanks import without_blanks
from bundler.lock.environment.selectors import resolved
from bundler.platforms import MACHINES

BOTH = ("linux-64", "linux-aarch64")


@pytest.mark.parametrize(
    "line",
    [
        "- a  # pinned [issue 12]",
        "- a  # [todo]",
        "- a  # [py>=38]",
        "- a  # [see a.b]",
        "- a  # [not win]",
        "- a  # [linux or osx]",
        "- a  # [ unix and not (osx or win) ]",
        "- a  # [linux]",
    ],
)
def test_a_line_that_counts_everywhere_has_no_comment(line: str) -> None:
    assert resolved(f"dependencies:\n{line}\n".encode(), (*BOTH, "linux-s390x")) == (b"dependencies:\n- a\n", ())


@pytest.mark.parametrize("selector", ["win", "osx", "not linux", "win or osx", "linux and win64", "arm64"])
def test_a_line_that_counts_nowhere_is_a_comment(selector: str) -> None:
    data, (left,) = resolved(f"dependencies:\n  - a >=1  # [{selector}]\n  - b\n".encode(), BOTH)
    assert data == f"dependencies:\n#   - a >=1  # [{selector}]\n  - b\n".encode()
    assert str(left) == f"a >=1 is skipped for linux-64, linux-aarch64 by its selector [{selector}]"


def test_what_is_below_a_line_goes_with_it() -> None:
    text = "dependencies:\n  - pip:  # [win]\n      - b\n\n# out\n      - c\n  - d\n"
    assert yaml.safe_load(resolved(text.encode(), BOTH)[0]) == {"dependencies": ["d"]}


def test_a_line_for_one_platform_of_two() -> None:
    head = b"dependencies:\n- z\n"
    for selector in (b"linux64", b"x86_64 or win", b"x86", b"no 1] [linux64"):
        data, (left,) = resolved(head + b"- a  # [%b]\n" % selector, BOTH)
        assert (data, left.platforms) == (head + b"- a  # [linux64]\n", ("linux-aarch64",))
    data, _ = resolved(head + b"- a  # [aarch64 or ppc64le]\n", (*BOTH, "linux-ppc64le"))
    assert data == head + b"- a  # [aarch64]\n- a  # [ppc64le]\n"
    for text in (b"- a  # [s390x or linux64]\n", b"- a:  # [linux64 or s390x]\n  - b\n"):
        with pytest.raises(ConfigError, match=r"does not support the selector \[.* or .*\] of - a"):
            resolved(head + text, (*BOTH, "linux-s390x"))


@pytest.mark.parametrize("platform", MACHINES)
def test_every_platform_has_a_selector_of_its_own(platform: str) -> None:
    name = {"linux-32": "linux32", "linux-64": "linux64"}.get(platform, platform.removeprefix("linux-"))
    for other in MACHINES:
        data, left = resolved(f"dependencies:\n- a  # [{name}]\n".encode(), (other,))
        assert (data == b"dependencies:\n- a\n", bool(left)) == (other == platform, other != platform)


def test_the_first_selector_of_a_comment_counts() -> None:
    data, (left,) = resolved(b"dependencies:\n- a\n- b  # [win]  # see [issue 12]\n", BOTH)
    assert data == b"dependencies:\n- a\n# - b  # [win]  # see [issue 12]\n"
    assert left.selector == "win"


def test_text_that_is_no_dependency_stays() -> None:
    text = b"variables:\n  A: |\n    x # [win]\nchannels: [c]\n"
    assert resolved(text, BOTH) == (text, ())


@pytest.mark.parametrize(
    "text", ["- a[version='>=1']\n", "# [win]\n", "- 'b[x]'  # no brackets\n", "- a # [win] (x)\n"]
)
def test_what_is_no_selector_stays(text: str) -> None:
    assert resolved(text.encode(), BOTH) == (text.encode(), ())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('dependencies:\n- a\n- ""\n- \n-\n- b\n', ["a", "b"]),
        ("dependencies:\n- a\n- pip:\n", ["a"]),
        ("dependencies:\n- a\n- pip: []\n", ["a"]),
        ('dependencies:\n- a\n- pip:\n  - ""\n', ["a"]),
        ('dependencies:\n- a\n- pip:\n  - ""  # gone\n  - b\n', ["a", {"pip": ["b"]}]),
        ('dependencies:\n- a\n- pip: [""]\n- {pip: }\n- pip: ["", b, ""]\n', ["a", {"pip": ["b"]}]),
        ('dependencies: ["", a, "", ~, b, ""]\n', ["a", "b"]),
        ('dependencies: [a,\n  "", # of x, or y\n  b, ]\n', ["a", "b"]),
        ('dependencies: [pip: [], a, {pip: ["", b]}, {pip: }]\n', ["a", {"pip": ["b"]}]),
        ('dependencies: [{pip: [""]}, ""]\n', []),
    ],
)
def test_blank_entries_are_gone(text: str, left: list[object]) -> None:
    data = without_blanks(text.encode())
    assert yaml.safe_load(data)["dependencies"] == left
    assert without_blanks(data) == data

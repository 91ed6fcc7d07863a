"""Conditional dependencies and extras, as they hold in a solution."""

from __future__ import annotations

import pytest
from rattler import MatchSpec, PackageRecord
from rattler.package import BuildString

from bundler.lock.solver.conditions import UnreadableConditionError, _Condition, plain_dependencies

VIRTUAL = ({"name": "__unix", "version": "0", "build": "0"}, {"name": "__glibc", "version": "2.28", "build": "0"})


def record(name: str, version: str, *depends: str, **extras: list[str]) -> PackageRecord:
    return PackageRecord(name, version, BuildString("0"), 0, "noarch", depends=list(depends), extra_depends=extras)


def depends(*texts: str, asked: str = "top", extras: dict[str, list[str]] | None = None) -> list[str]:
    """What `top` depends on, with Python 3.12 and `leaf` 1.5 beside it."""
    records = [record("top", "1", *texts, **(extras or {})), record("python", "3.12.1"), record("leaf", "1.5")]
    return plain_dependencies(records, VIRTUAL, [MatchSpec(asked)])["top"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("python >=3.10", True),
        ("python <3.9", False),
        ("python", True),
        ("absent", False),
        ("__unix", True),
        ("__glibc >=2.34", False),
        ("__win or leaf", True),
        ("leaf and __win", False),
        ("leaf or python and __win", True),
        ("(leaf or python) and __win", False),
        ("python >=3.13 and leaf or __unix", True),
        ("python[version='>=3.9,<4'] and leaf =1", True),
        ("leaf[build='1*']", False),
    ],
)
def test_a_condition_holds_or_not(condition: str, holds: bool) -> None:
    assert depends(f'leaf[version=">=1",when="{condition}"]') == (["leaf >=1"] if holds else [])


def test_what_is_plain_stays_as_the_channel_has_it() -> None:
    plain = ["leaf >=1,<2.0a0 *_0", "python 3.12.*", "leaf"]
    assert depends(*plain) == plain


def test_brackets_become_name_version_and_build() -> None:
    assert depends("leaf[version='>=1', build='0*']", "python[build=0]", "leaf[flags=[cuda]]") == [
        "leaf >=1 0*",
        "python * 0",
        "leaf",
    ]


def test_only_extras_that_somebody_asks_for_add_dependencies() -> None:
    extras = {"gpu": ["leaf >=1"], "never": ["absent"]}
    assert depends("python", extras=extras) == ["python"]
    assert depends("python", asked="top[extras=[gpu]]", extras=extras) == ["python", "leaf >=1"]


def test_extras_ask_for_extras() -> None:
    records = [
        record("top", "1", 'mid[extras=[a],when="__unix"]', 'mid[extras=[c],when="__win"]'),
        record("mid", "1", a=["leaf[extras=[b]]"], c=["absent"]),
        record("leaf", "1", b=["python"]),
        record("python", "3.12"),
    ]
    found = plain_dependencies(records, VIRTUAL, [MatchSpec("top")])  # type: ignore[arg-type]
    assert found == {"top": ["mid"], "mid": ["leaf"], "leaf": ["python"], "python": []}


def test_a_spec_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(UnreadableConditionError, match="leaf"):
        depends('leaf[when="python >=3 and <4"]')


@pytest.mark.parametrize(
    "text",
    ["python python", "(python", "python)", "and", "python and", "or python", "()", "python and or python", "python ["],
)
def test_a_condition_that_rattler_would_not_write(text: str) -> None:
    with pytest.raises(UnreadableConditionError):
        _Condition(text, {"python": record("python", "3.12")}).holds()


def test_what_several_extras_add_stands_once() -> None:
    extras = {"a": ["leaf >=1"], "b": ["leaf >=1", "python"]}
    assert depends("python", asked="top[extras=[a, b]]", extras=extras) == ["python", "leaf >=1"]


def test_a_plain_spec_keeps_its_words() -> None:
    assert depends("leaf   >=1,<2", "python=3.12") == ["leaf   >=1,<2", "python=3.12"]

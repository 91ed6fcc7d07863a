"""`load_yaml` builds what PyYAML builds, and says what PyYAML says, of whatever it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bundler import plainyaml
from bundler.plainyaml import load_yaml, load_yaml12

if TYPE_CHECKING:
    from collections.abc import Callable

SCALARS = "a: 1\nb: 0x1F\nc: 1_000\nd: 1.5e3\ne: .inf\nf: yes\ng: null\nh: ~\ni:\nj: 2020-01-01\nk: '1'\nl: \"x\\n\"\n"
DOCUMENTS = [
    *("", "a", "# a comment\n", SCALARS, "m: |\n  t\nn: 12:30:45\no: >-\n  u\n  v\n", "1: a\n1: b\ntrue: c"),
    *("&a [1]\n", "a: &x 1\nb: *x\n", "*x", "<<: {a: 1}\nb: 2", "'<<': 1", "- <<", "b: =\n", "? [a]\n: b"),
    *("a: !!str 1", "a: ! 12", "!x a", "!!python/tuple [1]", "{a: 1, a: 2}", "--- \n--- \n", "- a\n---\n- b\n"),
    *("a: [1, 2", "a: b: c", "a: 2020-13-01", "a: 2001-12-14t21:59:43.10-05:00", "%YAML 1.1\n---\na: 1\n...\n"),
    *("\ufeffa: 1", "a: \u2028b", "\x00", "a: \u00e9", "- - - []\n  - {}\n"),
]


def _told(load: Any, data: bytes) -> str:
    """What comes of it: dates, endless numbers and errors can be compared as text."""
    try:
        return repr(load(data))
    except Exception as error:  # noqa: BLE001 -- any that PyYAML raises is to be the same here
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", DOCUMENTS)
def test_it_is_pyyamls(text: str, encoding: str, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plainyaml, "_LOADER", getattr(yaml, loader))
    data = text.encode(encoding)
    assert _told(load_yaml, data) == _told(lambda given: yaml.load(given, Loader=getattr(yaml, loader)), data)


def test_a_lockfile_is_not_left_to_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "load", lambda *_, **__: pytest.fail("the slow way"))
    entry = {"name": "a", "hash": {"sha256": "0" * 64}, "dependencies": {"b": ">=1,<2"}, "optional": False}
    document = {"version": 1, "metadata": {"platforms": ["linux-64"]}, "package": [entry, entry | {"url": "file:///a"}]}
    assert load_yaml(yaml.dump(document, Dumper=_WithoutAliases).encode()) == document


def test_what_is_handed_out_is_its_owners() -> None:
    first, second = load_yaml(b"- []\n- []\n")
    first.append(1)
    assert second == []


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


BOMB = "b0: &b0 [a, a]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 4)}]\n" for n in range(1, 30))
MERGED = "b0: &b0 {a: 1}\n" + "".join(f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize("load", [load_yaml, load_yaml12])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{BOMB}package: *b29\n", "its anchors expand to too much data"),
        (MERGED, "its anchors expand to too much data"),
        ("a: &a [*a]\n", "an anchor refers to itself"),
        ("a: &a {x: *a}\n", "an anchor refers to itself"),
        ("a: 1" + ":59" * 5000, "a number is too large: 1:59:59"),
        ("a: 0x" + "f" * 5000, "a number is too large: 0xfff"),
        ("x: &x 1\na: 0x" + "f" * 5000, "a number is too large: 0xfff"),
    ],
)
def test_a_few_lines_that_stand_for_more_than_memory_holds(load: Callable[[bytes], Any], text: str, why: str) -> None:
    """Nothing of it is built: to show such a value would take for ever."""
    with pytest.raises(ValueError, match=why):
        load(text.encode())


def test_anchors_as_ordinary_writers_have_them() -> None:
    text = "a: &a [linux-64]\nb: &b {x: *a, y: *a}\n" + "".join(f"k{n}: *b\n" for n in range(50))
    assert load_yaml(text.encode())["k49"] == {"x": ["linux-64"], "y": ["linux-64"]}


@pytest.mark.parametrize("load", [load_yaml, load_yaml12])
@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: 2\na: 3\n",
        "x: [{url: a, url: b}]\n",
        "x: &x 1\ny: {url: a, 'url': b}\n",
        "x: &x {a: 1, a: 2}\ny: *x\n",
    ],
)
def test_a_key_that_is_there_twice(load: Callable[..., Any], text: str) -> None:
    load(text.encode())  # as PyYAML does
    with pytest.raises(ValueError, match=r"the key '(a|url)' is there twice"):
        load(text.encode(), once=True)
    assert load(b"x: &x {a: 1}\ny: {<<: *x, a: 2}\nz: [*x, *x]\n", once=True)["y"] == {"a": 2}

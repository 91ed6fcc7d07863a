"""Bytecode's names, as importlib makes them, and which sources want any."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from bundler.pack.bytecode import bytecode_of, cache_tag, source_of, uncompiled

TAG = sys.implementation.cache_tag
NAMES = (
    "x",
    "a.b",
    "v1.2",
    "__phello__.foo",
    "x.cpython-311",
    "x.opt-1",
    "opt-1",
    "a.cpython-39.opt-2",
    ".hidden",
    "a b",
)


@pytest.mark.parametrize("directory", ["", "lib/", "a.b/c.py/"])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_importlibs(directory: str, name: str) -> None:
    source = f"{directory}{name}.py"
    plain = importlib.util.cache_from_source(source, optimization="")
    assert TAG is not None
    assert bytecode_of(source, TAG) == plain
    assert source_of(plain) == source
    for level in ("1", "2", "x9"):
        assert source_of(importlib.util.cache_from_source(source, optimization=level)) == source
    for tag in ("cpython-39", "pypy310", "graalpy242-311"):
        assert source_of(bytecode_of(source, tag)) == source


@pytest.mark.parametrize(
    "path",
    [
        "lib/x.pyc",
        "__pycache__x/x.cpython-311.pyc",
        "__pycache__/x.pyc",
        "__pycache__/.pyc",
        "__pycache__/.cpython-311.pyc",
        "a/__pycache__/b/x.cpython-311.pyc",
        "a/__pycache__/x.cpython-311.pyo",
    ],
)
def test_what_no_python_looks_for_has_no_source(path: str) -> None:
    assert source_of(path) is None


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ({"a.cpython-311"}, ("a.b.py",)),
        ({"a.b.cpython-311"}, ("a.py",)),
        ({"a.cpython-311", "a.b.cpython-311"}, ()),
        ({"a.cpython-311.opt-1", "a.cpython-311.opt-2", "a.b.cpython-311.opt-1"}, ("a.b.py", "a.py")),
        ({"a.cpython-39", "a.b.pypy311"}, ("a.b.py", "a.py")),
        ({"a.cpython-311", "a.cpython-311.opt-1", "a.cpython-39", "a.b.cpython-311"}, ()),
    ],
)
def test_a_source_is_compiled_if_its_plain_bytecode_for_this_python_is_there(
    there: set[str], wanted: tuple[str, ...]
) -> None:
    paths = {"m/a.py", "m/a.b.py", *(f"m/__pycache__/{name}.pyc" for name in there)}
    assert uncompiled(paths, "cpython-311") == tuple(f"m/{name}" for name in wanted)


def test_any_pythons_bytecode_will_do_where_its_tag_is_not_known() -> None:
    paths = {"a.py", "a.b.py", "c.py", "__pycache__/a.b.graalpy242-311.pyc", "__pycache__/c.cpython-311.opt-1.pyc"}
    assert uncompiled(paths) == ("a.py", "c.py")


def test_what_compileall_cannot_take_or_would_put_elsewhere_is_left_alone() -> None:
    paths = {"a\n.py", "a\r.py", "a\udcff.py", ".py", "linked/a.py", "linked/__pycache__", "caf\u00e9 x.py"}
    assert uncompiled(paths, "cpython-311") == ("caf\u00e9 x.py",)


@pytest.mark.parametrize(
    ("version", "build", "tag"),
    [
        ("3.9.18", "h0755675_1_cpython", "cpython-39"),
        ("3.13.0", "h1234567_0_cp313t", "cpython-313"),
        ("3.9.18", "0_73_pypy", "pypy39"),
        ("3.11.7", "0_graalpy", None),
    ],
)
def test_the_cache_tag_by_the_package(version: str, build: str, tag: str | None) -> None:
    assert cache_tag(version, build) == tag

"""The marker that an environment is frozen."""

from __future__ import annotations

import json

import pytest

from bundler.pack.collect import Filters
from bundler.pack.frozen import frozen_marker
from bundler.pack.members import Member


def test_it_says_what_to_do_instead() -> None:
    (marker,) = frozen_marker("hello", (), Filters())
    assert (marker.path, marker.mode) == ("env/conda-meta/frozen", 0o644)
    said = json.loads(marker.open().read())
    assert list(said) == ["message"]
    assert "bundle hello" in said["message"]
    assert "build a new bundle" in said["message"]


@pytest.mark.parametrize(
    ("exclude", "include", "there"),
    [(("*.a",), (), True), (("conda-meta/*",), (), False), (("conda-meta/*",), ("conda-meta/frozen",), True)],
)
def test_it_can_be_left_out_as_other_files_can(exclude: tuple[str, ...], include: tuple[str, ...], there: bool) -> None:
    assert bool(frozen_marker("hello", (), Filters(exclude=exclude, include=include))) == there


def test_one_that_a_package_brings_stays() -> None:
    theirs = Member(path="env/conda-meta/frozen", mode=0o644, content=b"")
    assert frozen_marker("hello", (theirs,), Filters()) == ()

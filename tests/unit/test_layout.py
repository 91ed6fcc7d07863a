"""Which packages are unpacked beside which, and where their directories are."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from bundler.pack.layout import directory_parts, divide

MB = 1 << 20


def test_little_is_one_part() -> None:
    assert divide({}, rest=0) == ((),)
    assert divide({"b": 10 * MB, "a": 20 * MB}, rest=MB) == (("a", "b"),)
    assert divide({"a": 500 * MB, "b": MB}, rest=MB) == (("a", "b"),)  # nothing to unpack beside it


def test_parts_cost_about_the_same() -> None:
    assert divide({"a": 90 * MB, "b": 50 * MB, "c": 40 * MB}, rest=MB, most=4) == (("a",), ("b",), ("c",))
    assert divide({"a": 60 * MB, "b": 30 * MB, "c": 30 * MB}, rest=MB) == (("a",), ("b", "c"))
    four = divide({f"p{number:03}": 2 * MB for number in range(100)}, rest=10 * MB, most=4)
    assert [len(part) for part in four] == [27, 26, 26, 21]
    assert sorted(name for part in four for name in part) == [f"p{number:03}" for number in range(100)]


def test_what_is_no_packages_may_be_a_part_alone() -> None:
    assert divide({"a": 60 * MB}, rest=60 * MB) == (("a",), ())


def test_a_directory_of_several_parts_is_in_the_first() -> None:
    files = [("env/bin/a", 0), ("env/lib/a/x", 0), ("env/bin/b", 1), ("env/lib/b/deep/x", 1), ("app/x", 2)]
    empty = ["env/lib/b/deep/__pycache__", "env/lib/__pycache__", "env/lib/b/x/y", "env/lib/b/x", "empty"]
    assert directory_parts(empty, files) == {
        "env": 0,
        "env/bin": 0,
        "env/lib": 0,
        "env/lib/a": 0,
        "env/lib/b": 1,
        "env/lib/b/deep": 1,
        "app": 2,
        "env/lib/b/deep/__pycache__": 1,
        "env/lib/__pycache__": 0,
        "env/lib/b/x": 1,
        "env/lib/b/x/y": 1,
        "empty": 0,
    }


NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(files=st.lists(st.tuples(NAMES.map(lambda path: f"{path}/file"), st.integers(0, 3))), empty=st.lists(NAMES))
def test_a_directory_comes_before_what_is_in_it(files: list[tuple[str, int]], empty: list[str]) -> None:
    found = directory_parts(empty, files)
    assert found == directory_parts(reversed(empty), reversed(files))
    for path, part in [*files, *found.items()]:
        directory = path.rpartition("/")[0]
        assert not directory or found.get(directory, 0) in (0, part)
    for directory, part in found.items():
        inside = {number for path, number in files if path.startswith(f"{directory}/")}
        assert part in (inside if len(inside) == 1 else {0}) or not inside

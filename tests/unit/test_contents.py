"""What a payload says of its segments, so that a target finds the same in another release."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from bundler.pack.contents import CONTENTS, LINKS, NEVER_LINKED, Content, content_id, contents_of, lists, wrong_lists
from bundler.pack.members import DIGESTS, LINK_MODE, TreeEntry
from bundler.pack.segments import Segment

A = TreeEntry(path="env/a", mode=0o644, digest="a" * 64, size=1)
B = TreeEntry(path="env/b", mode=0o755, digest="b" * 64, size=5000)
L = TreeEntry(path="env/aa", mode=LINK_MODE, digest="a", size=0)
APP = TreeEntry(path="app/x y", mode=0o644, digest="c" * 64, size=0)


def test_the_order_in_which_a_segment_was_packed_is_no_part_of_its_id() -> None:
    assert Content.of("one", [B, L, A]) == Content.of("one", [A, L, B])
    assert Content.of("one", [A]).id == Content.of("another", [A]).id


@pytest.mark.parametrize(
    "other",
    [
        replace(A, path="env/c"),
        replace(A, mode=0o755),
        replace(A, digest="d" * 64),
        replace(A, size=2),
        replace(A, mode=LINK_MODE),
    ],
)
def test_all_that_is_unpacked_is(other: TreeEntry) -> None:
    assert content_id([other, B]) != content_id([A, B])


@pytest.mark.parametrize("path", ["env/new\nline", "env/back\\slash", "env/l -> m", "env/esc\x1b", "env/\x7f"])
def test_a_name_that_stands_otherwise_in_a_list_is_never_linked(path: str) -> None:
    assert content_id([A, replace(B, path=path)]) == NEVER_LINKED
    assert content_id([replace(L, path=path)]) == NEVER_LINKED


@pytest.mark.parametrize("path", ["env/ blanks ", "env/qu'o\"te", "env/\udce9", "env/ü", "env/\u2028"])
def test_other_unusual_names_are(path: str) -> None:
    assert content_id([replace(A, path=path)]) != NEVER_LINKED


def test_lists_have_each_segments_lines_in_a_run() -> None:
    contents = [
        Content.of("directories", []),
        Content.of("zeta", [B, L, A]),
        Content.of("app/", [APP]),
        Content.of("baked", [replace(A, path="env/0"), replace(L, path="env/1")], id=NEVER_LINKED),
    ]
    made = lists(contents)
    assert made[CONTENTS].decode().splitlines() == [
        f"{contents[1].id} 2 1 zeta",
        f"{contents[2].id} 1 0 app/",
        "- 1 1 baked",
        "- 2 0 list",
    ]
    assert made[LINKS] == b"./env/aa\n./env/1\n"
    assert made[DIGESTS].decode().splitlines() == [
        f"{'a' * 64}  ./env/a",
        f"{'b' * 64}  ./env/b",
        f"{'c' * 64}  ./app/x y",
        f"{'a' * 64}  ./env/0",
        f"{hashlib.sha256(made[CONTENTS]).hexdigest()}  ./share/contents",
        f"{hashlib.sha256(made[LINKS]).hexdigest()}  ./share/links",
    ]


def test_sizes_are_those_of_a_disk() -> None:
    assert Content.of("one", [A, B, L, APP]).kib == 4 + 8


def test_what_carries_the_releases_path_is_never_linked() -> None:
    """Relocation writes into it."""
    segments = [Segment(name=name, members=(), linkable=name != "baked") for name in ("zeta", "app/", "baked")]
    held = [(B, A), (APP,), (replace(A, path="env/0"),)]
    made = [*contents_of(segments, held, carriers={APP.path})]
    assert [one.id for one in made] == [content_id([A, B]), NEVER_LINKED, NEVER_LINKED]


def test_a_list_that_is_not_theirs_is_named() -> None:
    contents = [Content.of("one", [A])]
    right = [
        TreeEntry(path=path, mode=0o644, digest=hashlib.sha256(content).hexdigest(), size=len(content))
        for path, content in lists(contents).items()
    ]
    assert wrong_lists(contents, right) == ()
    assert wrong_lists([Content.of("one", [B])], right) == (CONTENTS, DIGESTS)
    assert wrong_lists(contents, right[1:]) == (right[0].path,)

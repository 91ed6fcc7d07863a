"""What was written is held to what ``verify`` would say of it, before a bundle gets its name."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundler.digests import sha256_of
from bundler.errors import PackError
from bundler.pack.archive import WrittenArchive, WrittenSegment, write_archive
from bundler.pack.codecs import CODECS
from bundler.pack.contents import CONTENTS, LINKS, Content, lists
from bundler.pack.members import DIGESTS, LINK_MODE, Member, TreeEntry
from bundler.pack.plain import check_written
from bundler.pack.segments import Segment, SegmentCache

if TYPE_CHECKING:
    from pathlib import Path

NONE = CODECS["none"]()


def directory(path: str, mode: int = 0o755) -> Member:
    return Member(path=path, mode=mode)


def file(path: str, mode: int = 0o644) -> Member:
    return Member(path=path, mode=mode, content=b"x")


def link(path: str, target: str) -> Member:
    return Member(path=path, mode=LINK_MODE, link=target)


TOPS = (directory("env"), directory("env/lib"), directory("share"))
GOOD = {
    "directories": TOPS,
    "tool": (file("env/tool", 0o755), link("env/lib/tool", "../tool")),
    "baked": (file("env/lib/b"),),
}


def of_segments(segments: list[Segment], held: tuple[tuple[TreeEntry, ...], ...]) -> list[Content]:
    return [Content.of(segment.name, entries) for segment, entries in zip(segments, held, strict=False)]


def listing(contents: list[Content]) -> Segment:
    members = tuple(Member(path=path, mode=0o644, content=content) for path, content in lists(contents).items())
    return Segment(name="list", members=members, last=True)


def held(parts: dict[str, tuple[Member, ...]], room: Path | None = None) -> None:
    """Write ``parts``, and hold them to it; with ``room`` a second time, from what was kept there."""
    segments = [Segment(name=name, members=members, origin=name) for name, members in parts.items()]
    for _ in range(2 if room else 1):
        cache = SegmentCache(room, NONE, limit=1 << 30)
        written = write_archive(
            segments, io.BytesIO(), NONE, cache, closing=lambda held: listing(of_segments(segments, held))
        )
    check_written(segments, written, of_segments(segments, written.held))


def test_what_is_plain_passes() -> None:
    held(GOOD)


BAD: dict[str, tuple[dict[str, tuple[Member, ...]], str, str]] = {
    "twice": ({"other": (file("env/tool"),)}, "holds env/tool twice", "tool, other"),
    "twice in one": ({"other": (file("env/o"), file("env/o"))}, "holds env/o twice", "other"),
    "a directory twice": ({"more": (directory("env/lib"),)}, "holds env/lib twice", "more"),
    "behind a symbolic link": ({"other": (file("env/lib/tool/x"),)}, "holds env/lib/tool/x below a path", "other"),
    "below a file": ({"other": (file("env/tool/x"),)}, "holds env/tool/x below a path", "other"),
    "without its directory": ({"other": (file("env/new/x"),)}, "holds env/new/x below a path", "other"),
    "its directory behind it": (
        {"other": (file("env/new/x"),), "more": (directory("env/new"),)}, "holds env/new/x below a path", "other",
    ),
    "a directory's mode": ({"more": (directory("env/d", 0o700),)}, "holds env/d with mode 700", "more"),
    "a mode": ({"other": (file("env/o", 0o664),)}, "holds env/o with mode 664", "other"),
    "a link's mode": ({"other": (file("env/o", 0o777),)}, "holds env/o with mode 777", "other"),
    "setuid": ({"other": (file("env/o", 0o4755),)}, "setuid, setgid or sticky", "other"),
    "a link that leaves": ({"other": (link("env/o", "../../x"),)}, "holds env/o, which is a symbolic link", "other"),
    "absolute": ({"other": (file("/etc/x"),)}, "'/etc/x'", "other"),
    "beside": ({"other": (file("units"),)}, "other than env/, app/ and share/: units", "other"),
    "a file for a directory": ({"other": (file("app"),)}, "other than env/, app/ and share/: app", "other"),
    "no name for a terminal": ({"other": 2 * (file("env/\x1b[2J"),)}, r"holds env/\x1b[2J twice", "other"),
}  # fmt: skip


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_what_verify_would_refuse_is_refused_by_path_and_package(tmp_path: Path, name: str, *, kept: bool) -> None:
    more, says, where = BAD[name]
    with pytest.raises(PackError) as caught:
        held(GOOD | more, tmp_path if kept else None)
    assert says in caught.value.message
    assert caught.value.where == where
    assert caught.value.remedy


@pytest.mark.parametrize("lie", ["a line less", "none"])
@pytest.mark.parametrize("path", [DIGESTS, CONTENTS, LINKS])
def test_the_lists_are_complete(path: str, lie: str) -> None:
    segments = [Segment(name=name, members=members) for name, members in GOOD.items()]

    def short(held: tuple[tuple[TreeEntry, ...], ...]) -> Segment:
        right = listing(of_segments(segments, held))
        others = tuple(member for member in right.members if member.path != path)
        wrong = next(replace(one, content=(one.content or b"")[:-1]) for one in right.members if one.path == path)
        return replace(right, members=(*others, *((wrong,) if lie == "a line less" else ())))

    cache = SegmentCache(None, NONE, limit=0)
    written = write_archive(segments, io.BytesIO(), NONE, cache, closing=short)
    with pytest.raises(PackError, match=f"{path} that does not match its files"):
        check_written(segments, written, of_segments(segments, written.held))


def test_it_costs_next_to_nothing() -> None:
    """50,000 files: a build of so many takes a minute."""
    directories = tuple(directory(f"env/{number}") for number in range(500))
    names = [f"env/{number % 500}/some-file-of-a-package-{number}.py" for number in range(50_000)]
    entries = tuple(TreeEntry(path=name, mode=0o644, digest="0" * 64, size=1) for name in names)
    contents = [Content.of("directories", ()), Content.of("all", entries)]
    closing = tuple(
        TreeEntry(path=path, mode=0o644, digest=sha256_of([content]), size=1)
        for path, content in lists(contents).items()
    )
    segments = [Segment(name="directories", members=(*TOPS, *directories)), Segment(name="all", members=())]
    names = ["directories", "all", "list"]
    places = [WrittenSegment(name=name, offset=0, length=0, sha256="") for name in names]
    written = WrittenArchive(
        sha256="", size=0, segments=tuple(places), parts=(), tree=(*entries, *closing), ends=(0, 50_000, 50_003)
    )
    begun = time.process_time()
    check_written(segments, written, contents)
    took = time.process_time() - begun
    assert took < 5, took

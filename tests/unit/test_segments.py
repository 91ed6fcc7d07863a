"""What one build keeps for the next, and that nothing damaged is ever taken from there."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import pytest

from bundler.pack import archive, blocks
from bundler.pack.archive import WrittenArchive, write_archive
from bundler.pack.codecs import CODECS, Codec
from bundler.pack.members import Member, member_from
from bundler.pack.segments import NewEntry, Segment, SegmentCache

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.pack.members import Kind

GZIP = CODECS["gzip"]()


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BLOCK", 1000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(bytes(range(256)) * 20)
    return path


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    return tmp_path / "room"


def segments(source: Path) -> list[Segment]:
    return [
        Segment(name="directories", members=(Member(path="env", mode=0o755),)),
        Segment(name="alpha", members=(member_from(str(source), "env/a"),), origin="a" * 64),
        Segment(name="beta", members=(Member(path="env/b", mode=0o755, content=b"b"),), origin="b" * 64),
        Segment(name="baked", members=(Member(path="env/c", mode=0o644, content=b"c"),), last=True),
    ]


def write(parts: list[Segment], room: Path | None) -> tuple[bytes, WrittenArchive]:
    file = io.BytesIO()
    made = write_archive(parts, file, GZIP, SegmentCache(room, GZIP, limit=1 << 30))
    return file.getvalue(), made


def has(cache: SegmentCache, segment: Segment) -> bool:
    """Whether the cache gives the segment, which marks it as used."""
    entry = cache.get(segment)
    return entry is not None and len(list(entry.frames())) > 0


def test_cold_warm_and_without_a_cache_are_the_same(source: Path, room: Path) -> None:
    parts = segments(source)
    cold, first = write(parts, room)
    assert len(list(room.iterdir())) == 2  # what is nobody's package is not kept
    source.unlink()  # a kept segment needs no file
    warm, second = write(parts, room)
    source.write_bytes(bytes(range(256)) * 20)
    assert cold == warm == write(parts, None)[0]
    assert first == second


def test_parts_are_all_of_it_each_with_its_digest(source: Path, room: Path) -> None:
    one = [replace(segment, begins_part=segment.name == "directories") for segment in segments(source)]
    three = [replace(segment, begins_part=segment.name != "beta") for segment in one]
    plain, made = write(one, room)
    assert made.parts == ()
    for cached in (None, room):
        data, made = write(three, cached)
        assert data == plain
        begins = [segment.offset for segment in made.segments if segment.name != "beta"]
        assert [part.offset for part in made.parts] == begins
        assert sum(part.length for part in made.parts) == len(data)
        for part in made.parts:
            assert hashlib.sha256(data[part.offset : part.offset + part.length]).hexdigest() == part.sha256


def test_segments_are_where_the_index_says(source: Path, room: Path) -> None:
    data, made = write(segments(source), room)
    assert [part.name for part in made.segments] == ["directories", "alpha", "beta", "baked"]
    assert sum(part.length for part in made.segments) == len(data) == made.size
    for part in made.segments:
        gzip.decompress(data[part.offset : part.offset + part.length])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        assert tar.getnames() == ["env", "env/a", "env/b", "env/c"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "zeros", "tail flipped"])
def test_a_damaged_entry_is_never_used(source: Path, room: Path, damage: str) -> None:
    parts = segments(source)
    good, _ = write(parts, room)
    for entry in room.iterdir():
        data = bytearray(entry.read_bytes())
        if damage == "flipped":
            data[len(data) // 2] ^= 1
        elif damage == "tail flipped":
            data[-3] ^= 1
        changed = {"truncated": bytes(data[:-10]), "empty": b"", "zeros": bytes(len(data))}.get(damage, bytes(data))
        entry.write_bytes(changed)
    assert write(parts, room)[0] == good
    source.unlink()  # and now the entries are whole again
    assert write(parts, room)[0] == good


def test_an_unfinished_entry_has_no_name(source: Path, room: Path) -> None:
    entry = SegmentCache(room, GZIP, limit=1 << 30).new(segments(source)[1])
    entry.write(b"half of it")
    assert SegmentCache(room, GZIP, limit=1 << 30).get(segments(source)[1]) is None
    assert [path.name.split(".")[0] for path in room.iterdir()] == ["unfinished"]
    entry.discard()
    assert list(room.iterdir()) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "c" * 64},
        {"recipe": "bytecode"},
        {"last": True},
        {"members": (Member(path="env/z", mode=0o644, content=b"b"),)},
        {"members": (Member(path="env/b", mode=0o644, content=b"b"),)},
        {"members": (Member(path="env/b", mode=0o755, content=b"B"),)},
        {"members": (Member(path="env/b", mode=0o755, link="b"),)},
    ],
)
def test_all_that_the_bytes_depend_on_is_in_the_key(source: Path, room: Path, changed: dict[str, object]) -> None:
    cache = SegmentCache(room, GZIP, limit=1 << 30)
    beta = segments(source)[2]
    write([beta], room)
    assert has(cache, beta)
    assert not has(cache, replace(beta, **changed))  # type: ignore[arg-type]
    assert SegmentCache(room, CODECS["zstd"](), limit=1 << 30).get(beta) is None


def test_the_mtime_is_in_the_key(source: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(segments(source), room)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert SegmentCache(room, GZIP, limit=1 << 30).get(segments(source)[2]) is None


def test_more_is_made_only_when_it_is_needed(room: Path) -> None:
    calls = []

    def more() -> tuple[Member, ...]:
        calls.append(1)
        return (Member(path="env/a", mode=0o644, content=b"first"),)

    part = Segment(name="x", members=(Member(path="env/b", mode=0o644, content=b"b"),), origin="a" * 64, more=more)
    cold, _ = write([part], room)
    warm, made = write([part], room)
    assert cold == warm
    assert len(calls) == 1
    assert [entry.path for entry in made.tree] == ["env/a", "env/b"]


def test_the_least_recently_used_go_first(source: Path, room: Path) -> None:
    write(segments(source), room)
    cache = SegmentCache(room, GZIP, limit=1 << 30)
    for path in room.iterdir():
        os.utime(path, (1, 1))
    assert has(cache, segments(source)[1])
    SegmentCache(room, GZIP, limit=max(path.stat().st_size for path in room.iterdir())).prune()
    assert has(cache, segments(source)[1])
    assert not has(cache, segments(source)[2])


def test_a_full_cache_costs_time_and_not_the_build(source: Path, tmp_path: Path) -> None:
    good, _ = write(segments(source), None)
    gone = tmp_path / "gone"
    assert write(segments(source), gone)[0] == good
    NewEntry(gone / "x").keep(())


class _Counting(io.FileIO):
    """Notes how much of it has been read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        type(self).read_bytes += len(data)
        return data


class _Watched(Member):
    """A file whose reading is counted."""

    def open(self) -> BinaryIO:
        assert self.source is not None
        return _Counting(self.source)


def test_no_more_of_a_large_file_is_read_than_soon_will_be_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_CHUNK", 500)
    block, workers = 1000, 2
    path = tmp_path / "large"
    path.write_bytes(os.urandom(100 * block))
    waiting: list[int] = []
    packed = 0

    def compress(content: memoryview, _: Kind) -> bytes:
        nonlocal packed
        time.sleep(0.001)
        waiting.append(_Counting.read_bytes - packed)
        packed += len(content)
        return bytes(content)

    slow = Codec(name="none", suffix=".tar", identity="slow", compress=compress)
    watched = _Watched(path="env/large", mode=0o644, source=str(path), size=100 * block)
    segment = Segment(name="large", members=(watched,), last=True)
    write_archive([segment], io.BytesIO(), slow, SegmentCache(None, slow, limit=0), jobs=workers)
    assert _Counting.read_bytes == 100 * block
    # What two workers have, what three blocks wait with, what the next is cut of; read a chunk at a time.
    assert max(waiting) <= (2 * workers + 3) * block

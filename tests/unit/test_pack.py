from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import py_compile
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import DamagedCacheError, PackError
from bundler.pack.archive import WrittenArchive, write_archive
from bundler.pack.blocks import Room, cut
from bundler.pack.bytecode import unchecked, uncompiled
from bundler.pack.codecs import CODECS, Codec
from bundler.pack.known import Known
from bundler.pack.members import Declared, Member, link_member, member_from, parents
from bundler.pack.segments import Segment, SegmentCache
from bundler.tar.write import DIRECTORY, END, LINK, REGULAR, tar_header

GZIP = CODECS["gzip"]()


def written(members: list[Member], *, jobs: int | None = None) -> bytes:
    file = io.BytesIO()
    write([Segment(name="all", members=tuple(members), last=True)], file, jobs=jobs)
    return file.getvalue()


def write(
    segments: list[Segment], file: io.BytesIO, *, room: Path | None = None, codec: Codec = GZIP, jobs: int | None = None
) -> WrittenArchive:
    return write_archive(segments, file, codec, SegmentCache(room, codec, limit=1 << 30), jobs=jobs)


def test_the_archive_is_what_stock_tar_reads(tmp_path: Path) -> None:
    big = os.urandom(1000) * 20_000  # 20 MB: cut into three gzip members in the middle of a file
    members = [
        Member(path="env", mode=0o755),
        Member(path="env/big", mode=0o644, content=big),
        Member(path="env/run", mode=0o755, content=b"#!/bin/sh\n"),
        link_member("env/link", "run"),
        Member(path="env/" + "long/" * 60 + "ü", mode=0o644, content=b"x"),
    ]
    data = written(members)
    assert data.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") >= 3
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        found = {info.name: info for info in tar}
        assert {(info.uid, info.gid, info.uname, info.mtime) for info in found.values()} == {(0, 0, "", 315532800)}
        assert found["env/run"].mode == 0o755
        assert found["env/link"].linkname == "run"
        assert found["env/" + "long/" * 60 + "ü"].size == 1
        stored = tar.extractfile("env/big")
        assert stored is not None
        assert stored.read() == big


def test_the_same_members_are_the_same_bytes_whatever_the_threads() -> None:
    members = [Member(path=f"f{n}", mode=0o644, content=os.urandom(3_000_000)) for n in range(8)]
    assert written(members, jobs=1) == written(members, jobs=2) == written(members, jobs=7)


def test_digests_are_of_what_was_written() -> None:
    members = [Member(path="a", mode=0o644, content=b"abc"), link_member("b", "a")]
    tree = write([Segment(name="all", members=tuple(members))], io.BytesIO()).tree
    assert {(entry.path, entry.digest[:8], entry.size) for entry in tree} == {("a", "ba7816bf", 3), ("b", "a", 0)}


@given(st.lists(st.binary(max_size=3000), max_size=12), st.integers(1, 2000))
def test_blocks_lose_nothing(contents: list[bytes], size: int) -> None:
    long = "d" * 400  # takes a header more than most
    members = [Member(path=f"{long}/f{n}", mode=0o644, content=content) for n, content in enumerate(contents)]
    room = Room()
    blocks = cut(members, size, Known(), apart=False, last=True)
    made = [(bytes(data), found) for data, found in (block.read(room) for block in blocks)]
    with tarfile.open(fileobj=io.BytesIO(b"".join(data for data, _ in made))) as tar:
        files = [(info.name, tar.extractfile(info)) for info in tar]
        assert [(name, file.read()) for name, file in files if file] == [(m.path, m.content) for m in members]
    entries = [entry for _, found in made for entry in found]
    assert {e.path: e.digest for e in entries} == {m.path: hashlib.sha256(m.read()).hexdigest() for m in members}
    assert len(entries) == len(members)


def test_the_end_has_no_room_in_a_full_block() -> None:
    full = Member(path="x", mode=0o644, content=bytes(9 * 512))
    blocks = cut([full], 10 * 512, Known(), apart=False, last=True)
    assert [len(block.read(Room())[0]) for block in blocks] == [10 * 512, 2 * 512]


def test_each_kind_has_blocks_of_its_own() -> None:
    """Where the codec compresses one kind in another way than the next."""
    names = ("a.py", "a.so", "b.pyc", "c.so.1", "d", "e.pyc", "so.1")
    members = [Member(path=name, mode=0o644, content=b"x") for name in names]
    blocks = list(cut(members, 1 << 20, Known(), apart=True, last=True))
    assert {block.kind: [entry.path for entry in block.read(Room())[1]] for block in blocks} == {
        "bytecode": ["b.pyc", "e.pyc"],
        "library": ["a.so", "c.so.1"],
        "other": ["a.py", "d", "so.1"],
    }
    assert len(blocks) == 3
    (together,) = cut(members, 1 << 20, Known(), apart=False, last=True)
    assert [entry.path for entry in together.read(Room())[1]] == list(names)


@pytest.mark.parametrize("size", [5, 5000])
@pytest.mark.parametrize("again", [False, True])
def test_a_file_that_changes_while_it_is_packed_is_refused(tmp_path: Path, size: int, *, again: bool) -> None:
    """Whether it is read by pieces or at once, known or not, what is declared is compared."""
    (tmp_path / "x").write_bytes(b"before" * 100)
    declared = Declared(sha256=(hashlib.sha256(b"before" * 100).hexdigest(),), copies=("x-1-0",))
    member = member_from(str(tmp_path / "x"), "env/x", declared=declared)
    known = Known()
    if again:
        [block.read(Room()) for block in cut([member], size, known, apart=False, last=False)]
    (tmp_path / "x").write_bytes(b"behind" * 100)
    with pytest.raises(DamagedCacheError, match="env/x"):
        [block.read(Room()) for block in cut([member], size, known, apart=False, last=False)]


@pytest.mark.parametrize("length", [0, 3, 7])
def test_a_file_that_gets_another_length_while_it_is_packed_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    blocks = list(cut([member_from(str(tmp_path / "x"), "env/x")], 5000, Known(), apart=False, last=False))
    (tmp_path / "x").write_bytes(b"1" * length)
    with pytest.raises(PackError, match="changed while it was being packed"):
        blocks[0].read(Room())


def test_source_date_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(written([Member(path="x", mode=0o755)])))) as tar:
        assert tar.getmember("x").mtime == 1000000000


@pytest.mark.parametrize("bits", [0o4755, 0o2755, 0o1755])
def test_setuid_setgid_and_sticky_files_are_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    path.chmod(bits)
    with pytest.raises(PackError, match="setuid, setgid or sticky"):
        member_from(str(path), "env/x")


def test_a_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(PackError, match="FIFO"):
        member_from(str(tmp_path / "x"), "env/x")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "../../../../etc/passwd", "a/../../../x"])
def test_links_that_leave_the_release_are_refused(target: str) -> None:
    with pytest.raises(PackError, match="to a path outside the release"):
        link_member("env/x", target)


@pytest.mark.parametrize("target", ["x", "../app/x", "./../env/y", ".."])
def test_links_that_stay_are_kept_to_the_letter(target: str) -> None:
    assert link_member("env/x", target).link == target


@pytest.mark.parametrize(("given_mode", "mode"), [(0o600, 0o644), (0o700, 0o755), (0o444, 0o644), (0o677, 0o755)])
def test_modes_are_two(tmp_path: Path, given_mode: int, mode: int) -> None:
    (tmp_path / "x").write_bytes(b"")
    (tmp_path / "x").chmod(given_mode)
    assert member_from(str(tmp_path / "x"), "env/x").mode == mode


def test_parents_come_before_children() -> None:
    assert [member.path for member in parents(["a/b/c", "a/d"])] == ["a", "a/b"]


def test_a_timestamp_pyc_becomes_an_unchecked_one_that_python_loads(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("VALUE = 42\n")
    compiled = py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    assert compiled is not None
    pyc = Path(compiled)
    member = member_from(str(pyc), "x", module=hashlib.sha256(source.read_bytes()).hexdigest())
    data = member.read()
    assert data[4:8] == b"\x01\x00\x00\x00"
    pyc.write_bytes(data)
    os.utime(source, (0, 0))  # stale, had it kept its timestamp
    source.write_text("VALUE = 'compiled again'\n")
    spec = importlib.util.spec_from_file_location("module", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.VALUE == 42


def test_a_hash_pyc_stays_as_it_is() -> None:
    checked = b"\xa7\r\r\n" + b"\x03\0\0\0" + b"h" * 8
    assert unchecked(checked, "ab" * 32) == checked
    assert unchecked(b"short", "ab" * 32) == b"short"


def test_only_modules_that_services_import_want_bytecode() -> None:
    paths = {"a/x.py", "a/__pycache__/x.cpython-311.pyc", "a/y.py", "a/tests/z.py", "lib2to3/bad.py", "a/data.txt"}
    assert uncompiled(paths) == ("a/y.py",)


NAMES = st.text(st.sampled_from("ab/ü\n "), min_size=1, max_size=300).map(lambda name: name.strip("/")).filter(bool)


@given(NAMES, NAMES, st.sampled_from([0, 1, 511, 512, 8**11 - 1, 8**11, 1 << 40]))
def test_every_header_is_read_as_it_was_written(name: str, target: str, size: int) -> None:
    for kind, link in ((REGULAR, ""), (LINK, target), (DIRECTORY, "")):
        length = size if kind == REGULAR else 0
        with tarfile.open(fileobj=io.BytesIO(tar_header(name, 0o755, size=length, kind=kind, link=link) + END)) as tar:
            info = tar.next()
        assert info is not None
        assert (info.name, info.linkname, info.size, info.type) == (name, link, length, kind)
        assert (info.mode, info.uid, info.gid, info.mtime) == (0o755, 0, 0, 315532800)


def test_a_name_that_ustar_can_split_needs_no_pax() -> None:
    assert len(tar_header("a/" * 70 + "b" * 100, 0o644)) == 512
    assert len(tar_header("a" * 101, 0o644)) == 3 * 512

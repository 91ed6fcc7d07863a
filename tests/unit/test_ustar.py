"""The reader of tars, beside the standard library's, and on what no bundle has."""

from __future__ import annotations

import contextlib
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.tar.read import TarDamage, TarStream
from bundler.tar.write import DIRECTORY, END, LINK, tar_header, tar_padding

NAMES = ("a", "b/c", "d" * 99, "e" * 100, "f" * 101, "g" * 80 + "/" + "h" * 90, "i/" + "j" * 300, "ü", "new\nline")


def ours(size: int = 700) -> bytes:
    """As conda-bundler writes them."""
    pieces = [tar_header("top", 0o755, kind=DIRECTORY), tar_header("link", 0o777, kind=LINK, link="k" * 200)]
    for name in NAMES:
        pieces += [tar_header(name, 0o644, size=size), b"x" * size, tar_padding(size)]
    return b"".join([*pieces, END])


def read(content: bytes, *, seekable: bool = False, part: bool = False) -> list[tuple[str, bytes, int, str, bytes]]:
    stream = TarStream(io.BytesIO(content), seekable=seekable, part=part)
    return [
        (member.path, member.kind, member.mode, member.link, b"" if seekable else b"".join(stream.content()))
        for member in stream
    ]


def test_what_we_write_we_read() -> None:
    found = read(ours())
    assert [name for name, *_ in found] == ["top", "link", *NAMES]
    assert found[0] == ("top", DIRECTORY, 0o755, "", b"")
    assert found[1] == ("link", LINK, 0o777, "k" * 200, b"")
    assert {content for *_, content in found[2:]} == {b"x" * 700}
    assert [entry[:4] for entry in read(ours(), seekable=True)] == [entry[:4] for entry in found]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_what_the_standard_library_writes_we_read_as_it_does(form: int) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        for name in NAMES if form == tarfile.PAX_FORMAT else ("a", "b/c", "g" * 80 + "/" + "h" * 90):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 3, 1.5 if form == tarfile.PAX_FORMAT else 1
            tar.addfile(info, io.BytesIO(b"abc"))
        names = tar.getnames()
    assert [(name, content) for name, *_, content in read(raw.getvalue())] == [(name, b"abc") for name in names]


def test_a_part_needs_no_end() -> None:
    part = ours()[: -len(END)]
    assert len(read(part, part=True)) == len(NAMES) + 2
    with pytest.raises(TarDamage, match="truncated"):
        read(part)


def test_where_the_content_begins() -> None:
    stream = TarStream(io.BytesIO(ours()), seekable=True)
    places = {member.path: stream.offset for member in stream}
    assert places["a"] == ours().index(b"x" * 700)


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_one_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(ours(20))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with contextlib.suppress(TarDamage):
        read(bytes(content[:cut]))
        assert cut == len(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truncated"),
        (b"x" * 512, "not a tar header"),
        (ours() + b"x", "after its end"),
        (bytes(512) + ours(), "empty header in the middle"),
        (ours().replace(b"x" * 700 + b"\0", b"x" * 701, 1), "between its members"),
        (ours()[:600], "truncated"),
    ],
)
def test_what_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(TarDamage, match=says):
        read(content)


def header(**changes: object) -> bytes:
    info = tarfile.TarInfo("name")
    for key, value in changes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT) + END


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (header(type=tarfile.LNKTYPE, linkname="x"), "a hard link"),
        (header(type=tarfile.BLKTYPE), "a device"),
        (header(type=tarfile.FIFOTYPE), "a FIFO"),
        (header(name="n" * 200), "something that no bundle has"),
        (header(size=1 << 40), "an invalid number"),
        (header(type=tarfile.DIRTYPE, size=512), "an invalid size"),
    ],
)
def test_forms_that_no_bundle_has(content: bytes, says: str) -> None:
    with pytest.raises(TarDamage, match=says):
        read(content)


def test_a_pax_header_as_large_as_a_disk_is_not_read() -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(TarDamage, match="too large"):
        read(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))


@pytest.mark.parametrize(
    "records",
    [
        b"3 a",
        b"6 a=b",
        b"99 path=x\n",
        b"x path=y\n",
        b" path=x\n",
        b"12 path=a\0b\n",
        b"19 GNU.sparse.a=bc\n",
        b"5 ab\n",
    ],
)
def test_records_that_are_none(records: bytes) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    pax = info.tobuf(tarfile.USTAR_FORMAT) + records + tar_padding(len(records))
    with pytest.raises(TarDamage, match="an invalid record"):
        read(pax + tar_header("name", 0o644) + END)


@pytest.mark.parametrize("name", ["short", "long" * 60])
def test_a_header_of_another_date(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    today = tar_header(name, 0o644)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    then = tar_header(name, 0o644)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert today != then
    assert tar_header(name, 0o644, mtime=1700000000) == then
    (member,) = TarStream(io.BytesIO(then), part=True)
    assert member.mtime == 1700000000
    assert member.is_as_written(0o644, 1700000000)
    assert not member.is_as_written(0o644, 1700000001)
    assert not member.is_as_written(0o755, 1700000000)


def test_a_part_has_no_end() -> None:
    with pytest.raises(TarDamage, match="empty header in the middle"):
        read(ours(), part=True)

"""The table against conda's own replacing: what it leads to is what the placeholder would have become directly."""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING, Literal

import pytest
from conda_pack.prefixes import replace_prefix
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.errors import PackError
from bundler.pack.relocation import CString, Found, find, longest, table

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "/opt/hello/releases/1.0-0123456789ab"
BAKED = f"{RELEASE}/env"
LENGTH = 80
PLACEHOLDER = "/" + "placehold_" * 7 + "placehold"

assert len(PLACEHOLDER) == LENGTH


def apply(content: bytes, found: Found | None, new: str) -> bytes:
    """What relocate.sh does, in Python; ``new`` is the release's new path."""
    if found is None:
        return content
    if not found.strings:
        return content.replace(RELEASE.encode(), new.encode())
    for string in found.strings:
        text = f"{new}/env".encode().join(string.parts)
        content = content[: string.offset] + text.ljust(string.room, b"\0") + content[string.offset + string.room :]
    return content


def linked(content: bytes, mode: Literal["text", "binary"], prefix: str) -> bytes:
    """What conda makes of a package's file."""
    result = replace_prefix(content, mode, PLACEHOLDER, prefix)
    assert isinstance(result, bytes)
    return result


def lines(files: dict[str, bytes], name: str) -> list[str]:
    return files[f"share/relocation/{name}"].decode().splitlines()


pieces = st.one_of(
    st.just(PLACEHOLDER.encode()),
    st.sampled_from(
        [b"\0", b"\n", b"\r\n", b"@", b"\\", b"/env", b"/bin/sh", PLACEHOLDER[:-1].encode(), b"/opt/hello"]
    ),
    st.binary(max_size=12),
)
contents = st.lists(pieces, max_size=12).map(b"".join)
new_releases = st.text("ab/._+-", min_size=1, max_size=LENGTH - 5).map(lambda text: f"/{text}")


@settings(deadline=None)
@given(content=contents, new=new_releases)
def test_text_becomes_what_conda_makes_of_it(content: bytes, new: str) -> None:
    baked = linked(content, "text", BAKED)
    found = find("env/f", baked, RELEASE, mode="text", placeholder=LENGTH)
    assert apply(baked, found, new) == linked(content, "text", f"{new}/env")
    assert (found is None) == (PLACEHOLDER.encode() not in content)


@settings(deadline=None)
@given(content=contents, new=new_releases)
def test_a_binary_becomes_what_conda_makes_of_it(content: bytes, new: str) -> None:
    content += b"\0"  # conda-pack passes over a string at the end that has no NUL; linkers do not
    baked = linked(content, "binary", BAKED)
    found = find("env/f", baked, RELEASE, mode="binary", placeholder=LENGTH)
    assert apply(baked, found, new) == linked(content, "binary", f"{new}/env")


@settings(deadline=None)
@given(content=contents)
def test_the_longest_prefix_fits_and_one_more_does_not(content: bytes) -> None:
    baked = linked(content + b"\0", "binary", BAKED)
    found = find("env/f", baked, RELEASE, mode="binary", placeholder=LENGTH)
    if found is None:
        return
    limit = longest([found])
    assert limit == LENGTH - len("/env")
    new = "/" + "x" * (limit - 1)
    assert apply(baked, found, new) == linked(content + b"\0", "binary", f"{new}/env")
    assert len(apply(baked, found, f"{new}x")) > len(baked)


@settings(deadline=None)
@given(content=contents)
def test_a_mapped_file_is_as_good_as_its_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path: Path = tmp_path_factory.mktemp("mapped") / "file"
    baked = linked(content + b"\0", "binary", BAKED)
    path.write_bytes(baked)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for mode in ("text", "binary", None):
            assert find("f", mapped, RELEASE, mode=mode, placeholder=LENGTH) == find(
                "f", baked, RELEASE, mode=mode, placeholder=LENGTH
            )


def test_strings_of_a_binary() -> None:
    pad = LENGTH - len(BAKED)
    two = f"{BAKED}/a:{BAKED}/b\n".encode()
    content = b"x" + BAKED.encode() + bytes(pad) + b"\0head " + two + bytes(2 * pad) + b"\0tail" + BAKED.encode()
    content += bytes(pad)  # a string at the end, whose room ends with the file
    found = find("f", content, RELEASE, mode="binary", placeholder=LENGTH)
    assert found is not None
    assert found.size == len(content)
    assert found.strings == (
        CString(offset=1, room=LENGTH, parts=(b"", b"")),
        CString(offset=1 + LENGTH + 1 + 5, room=len(two) + 2 * pad, parts=(b"", b"/a:", b"/b\n")),
        CString(offset=len(content) - LENGTH, room=LENGTH, parts=(b"", b"")),
    )


def test_a_prefix_that_fills_its_placeholder_has_no_room_left() -> None:
    content = f"{BAKED}/bin".encode()
    found = find("f", content, RELEASE, mode="binary", placeholder=len(BAKED))
    assert found is not None
    assert longest([found]) == len(RELEASE)


@pytest.mark.parametrize(
    ("content", "placeholder"),
    [
        pytest.param(BAKED.encode() + b"\0next", LENGTH, id="not padded"),
        pytest.param(BAKED.encode() + bytes(3), LENGTH, id="the file ends"),
        pytest.param(BAKED.encode() + bytes(99), len(BAKED) - 1, id="placeholder shorter than the prefix"),
    ],
)
def test_a_string_without_its_room_is_refused(content: bytes, placeholder: int) -> None:
    with pytest.raises(PackError, match="the string at byte 0 is shorter than") as caught:
        find("env/lib/x.so", content, RELEASE, mode="binary", placeholder=placeholder)
    assert caught.value.where == "env/lib/x.so"
    assert caught.value.remedy


def test_without_a_declaration_a_nul_decides() -> None:
    text = f"{RELEASE}/app\n".encode()
    assert find("app/run", text, RELEASE, mode=None) == Found(path="app/run", size=len(text))
    assert find("app/run", text + b"\0", RELEASE, mode=None) is None
    assert find("app/run", text + b"\0", RELEASE, mode="text", placeholder=LENGTH) is not None


def test_a_binary_is_only_touched_where_the_linker_was() -> None:
    assert find("f", f"{RELEASE}/app\0".encode(), RELEASE, mode="binary", placeholder=LENGTH) is None
    assert find("f", b"nothing", RELEASE, mode="binary", placeholder=LENGTH) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"#!{BAKED}/bin/python3.11 -s\nrest", len("#!/env/bin/python3.11 -s")),
        (f"#!{BAKED}/bin/sh", len("#!/env/bin/sh")),
        (f"#!/bin/sh\nexec {BAKED}/bin/x\n", 0),
        (f"text {BAKED}\n", 0),
    ],
)
def test_the_interpreter_line(content: str, expected: int) -> None:
    found = find("f", content.encode(), RELEASE, mode="text", placeholder=LENGTH)
    assert found is not None
    assert found.shebang == expected


def test_the_table_is_sorted_and_the_same_for_the_same_files() -> None:
    string = CString(offset=7, room=LENGTH + 3, parts=(b"", b"/x "))
    entries = [
        Found(path="env/b", size=9),
        Found(path="env/lib/z", size=900, strings=(string,)),
        Found(path="env/a", size=9, shebang=20),
        Found(path="env/lib/é", size=901, strings=(string, string)),
    ]
    files = table(RELEASE, entries)
    assert files == table(RELEASE, reversed(entries))
    assert list(files) == [f"share/relocation/{name}" for name in ("limits", "text", "binary")]
    assert lines(files, "limits") == [f"baked {RELEASE}", f"longest {LENGTH - 4}", "shebang 20"]
    assert files["share/relocation/text"] == b"env/a\0env/b\0"
    line = f"string 7 {LENGTH + 3} 3 1 @/x\\0040"
    expected = ["file 900 env/lib/z", line, "file 901 env/lib/\\0303\\0251", line, line]
    assert lines(files, "binary") == expected


def test_nothing_to_relocate() -> None:
    files = table(RELEASE, ())
    assert lines(files, "limits") == [f"baked {RELEASE}", "longest 0", "shebang 0"]
    assert files["share/relocation/text"] == files["share/relocation/binary"] == b""


@settings(deadline=None)
@given(
    path=st.binary(min_size=1).filter(lambda name: b"\0" not in name),
    parts=st.lists(st.binary().map(lambda part: part.replace(b"\0", b"")), min_size=2, max_size=4),
)
def test_any_path_and_string_survives_the_tables_encoding(path: bytes, parts: list[bytes]) -> None:
    found = Found(
        path="env/" + path.decode("utf-8", "surrogateescape"),
        size=1,
        strings=(CString(offset=0, room=999, parts=tuple(parts)),),
    )
    binary = table(RELEASE, [found])["share/relocation/binary"]
    file, string = binary.splitlines()
    assert binary.isascii()
    assert len(file.split(b" ")) == 3
    assert decoded(file.split(b" ")[2]) == b"env/" + path
    *_, rest, count, text = string.split(b" ")
    assert [decoded(part) for part in text.split(b"@")] == parts
    assert (int(rest), int(count)) == (len(b"".join(parts)), len(parts) - 1)


def decoded(text: bytes) -> bytes:
    """As ``printf %b`` does."""
    return re.sub(rb"\\0([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text)

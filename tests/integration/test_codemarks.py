"""What ELF objects say of the memory that they need, in objects that the system's compiler makes."""

from __future__ import annotations

import io
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from bundler import codemarks
from bundler.codemarks import MARKS, look
from bundler.elf import read_sections
from bundler.pack.archive import write_archive
from bundler.pack.codecs import BLOCK, CODECS
from bundler.pack.members import member_from
from bundler.pack.segments import Segment, SegmentCache

if TYPE_CHECKING:
    from pathlib import Path

PLACE = b"@" * 64
"""Where an engine's text is put, in an object that was compiled without it."""
NOTHING = "#include <sys/mman.h>\nint answer(void) { return 42; }\n"
ENGINE = f"""\
#include <sys/mman.h>
const char padding[{codemarks._WINDOW - 20}] = "p";
const char engine[] = "{PLACE.decode()}";
int make(void *at) {{ return mprotect(at, 4096, PROT_READ | PROT_EXEC); }}
"""


def compiled(room: Path, source: str, *words: str, suffix: str = "c") -> bytes:
    path = room / f"source.{suffix}"
    path.write_text(source)
    subprocess.run(["cc", "-o", "made", path.name, *words], cwd=room, check=True, capture_output=True)
    return (room / "made").read_bytes()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A library that can ask for executable memory, with a place for a text on the border of two windows."""
    made = compiled(tmp_path_factory.mktemp("engine"), ENGINE, "-shared", "-fPIC")
    assert made.count(PLACE) == 1
    return made


def with_text(content: bytes, text: bytes) -> bytes:
    return content.replace(PLACE, text.ljust(len(PLACE), b"\0"))


def marks(content: bytes) -> tuple[str, ...]:
    elf, found = look("env/lib/one.so", content)
    assert elf is not None
    return found


def test_an_ordinary_library_says_nothing(tmp_path: Path, engine: bytes) -> None:
    assert marks(compiled(tmp_path, NOTHING, "-shared", "-fPIC")) == ()
    assert marks(engine) == ()


@pytest.mark.parametrize(("name", "text"), MARKS)
def test_an_engine_is_known_by_its_text(engine: bytes, name: str, text: bytes) -> None:
    assert marks(with_text(engine, text)) == (name,)


def test_a_text_that_lies_across_two_windows_is_found(engine: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    content = with_text(engine, b"Xbyak")
    begin = next(one.offset for one in read_sections(content) if one.name == ".rodata")
    for split in range(1, 5):
        monkeypatch.setattr(codemarks, "_WINDOW", content.index(b"Xbyak") + split - begin)
        assert marks(content)


def test_erlang_maps_twice_what_it_compiles(engine: bytes) -> None:
    assert marks(with_text(engine, b"N6asmjit")) == ("AsmJit",)
    assert marks(with_text(engine, b"N6asmjit\0beamasm_init")) == ()


def test_what_cannot_ask_for_memory_has_no_engine(tmp_path: Path) -> None:
    source = ENGINE.replace("mprotect(at, 4096, PROT_READ | PROT_EXEC)", "at != 0")
    assert marks(with_text(compiled(tmp_path, source, "-shared", "-fPIC"), b"Xbyak")) == ()


def test_a_program_without_a_table_of_sections_is_searched_whole(engine: bytes) -> None:
    content = bytearray(with_text(engine, b"Xbyak"))
    struct.pack_into("<Q", content, 40, 0)
    assert read_sections(bytes(content)) == ()
    assert marks(bytes(content)) == ("Xbyak (oneDNN, OpenVINO)",)
    struct.pack_into("<Q", content, 40, len(content) - 8)  # a table that is cut off
    assert marks(bytes(content)) == ("Xbyak (oneDNN, OpenVINO)",)


def test_a_static_program_and_an_object_file(tmp_path: Path) -> None:
    main = ENGINE + "int main(void) { return make(0); }\n"
    assert marks(with_text(compiled(tmp_path, main, "-static"), b"cranelift")) == ("Cranelift",)
    assert marks(with_text(compiled(tmp_path, ENGINE, "-c"), b"cranelift")) == ()  # nothing loads it


def test_code_and_debug_information_hold_no_texts(tmp_path: Path) -> None:
    source = ENGINE + '__asm__(".text\\n.ascii \\"Xbyak\\"\\n.section .debug_str\\n.ascii \\"Xbyak\\"\\n");\n'
    content = compiled(tmp_path, source, "-shared", "-fPIC")
    assert content.count(b"Xbyak") == 2
    assert marks(content) == ()


@pytest.mark.parametrize(
    ("source", "words", "trait"),
    [
        (NOTHING, ("-Wl,-z,execstack",), "executable stack"),
        (NOTHING + '__asm__(".section .both,\\"awx\\"\\n.quad 0\\n");\n', (), "writable code"),
        (NOTHING + '__asm__(".text\\n.quad answer\\n");\n', ("-Wl,-z,notext",), "text relocations"),
    ],
)
def test_what_a_loader_needs(tmp_path: Path, source: str, words: tuple[str, ...], trait: str) -> None:
    content = compiled(tmp_path, source, "-shared", "-fPIC", *words)
    assert marks(content) == (trait,)


def test_an_object_that_says_nothing_of_its_stack(tmp_path: Path) -> None:
    content = bytearray(compiled(tmp_path, NOTHING, "-shared", "-fPIC"))
    (table,), (size, count) = struct.unpack_from("<Q", content, 32), struct.unpack_from("<HH", content, 54)
    headers = [table + number * size for number in range(count)]
    (stack,) = (at for at in headers if struct.unpack_from("<I", content, at)[0] == 0x6474E551)
    struct.pack_into("<I", content, stack, 0)
    if struct.unpack_from("<H", content, 18)[0] == 62:
        assert marks(bytes(content)) == ("executable stack",)
    struct.pack_into("<H", content, 18, 183)  # aarch64, where the stack is not executable unless it is asked for
    assert marks(bytes(content)) == ()


def test_a_kept_segment_and_a_large_file_say_the_same(tmp_path: Path, engine: bytes) -> None:
    (tmp_path / "segments").mkdir()
    for name, size in (("small", 0), ("large", BLOCK)):
        (tmp_path / name).write_bytes(with_text(engine, b"Xbyak") + bytes(size))
    members = tuple(member_from(str(tmp_path / name), f"env/lib/{name}.so") for name in ("small", "large"))
    segment = Segment(name="one", members=members, origin="1" * 64, last=True)
    for _ in range(2):  # the second time from the cache
        cache = SegmentCache(tmp_path / "segments", CODECS["gzip"](), limit=1 << 30)
        written = write_archive([segment], io.BytesIO(), CODECS["gzip"](), cache)
        assert {entry.path: entry.marks for entry in written.tree} == {
            "env/lib/small.so": ("Xbyak (oneDNN, OpenVINO)",),
            "env/lib/large.so": ("Xbyak (oneDNN, OpenVINO)",),
        }

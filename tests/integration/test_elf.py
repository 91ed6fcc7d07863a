"""What is read of ELF objects, beside what the tools of the system say of the same."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tooling import patchelf

from bundler.elf import Elf, platform_bytes, read_elf

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "int answer(void) { return 42; }\n"
MAIN = "int answer(void); int main(void) { return answer(); }\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library, a program that needs it, and one that is linked statically."""
    room = tmp_path_factory.mktemp("elf")
    (room / "answer.c").write_text(SOURCE)
    (room / "main.c").write_text(MAIN)
    for words in (
        ("-shared", "-fPIC", "-Wl,-soname,libanswer.so.1", "answer.c", "-o", "libanswer.so.1.2"),
        ("main.c", "libanswer.so.1.2", "-Wl,-rpath,$ORIGIN/../lib:/srv/lib", "-o", "main"),
        ("-static", "main.c", "answer.c", "-o", "static"),
    ):
        subprocess.run(["cc", *words], cwd=room, check=True)
    return room


def read(path: Path) -> Elf:
    found = read_elf(path.read_bytes())
    assert found is not None
    return found


def test_a_library_says_its_name_and_what_it_needs(built: Path) -> None:
    found = read(built / "libanswer.so.1.2")
    assert found.soname == "libanswer.so.1"
    assert found.interpreter == ""
    assert set(found.needed) <= {"libc.so.6"}


def test_a_program_says_where_it_looks(built: Path) -> None:
    found = read(built / "main")
    assert found.needed == ("libanswer.so.1", "libc.so.6")
    assert found.search == ("$ORIGIN/../lib", "/srv/lib")
    assert found.interpreter == patchelf("--print-interpreter", built / "main")


def test_an_old_rpath_is_read_as_well(built: Path) -> None:
    old = built / "old"
    old.write_bytes((built / "main").read_bytes())
    patchelf("--force-rpath", "--set-rpath", "$ORIGIN", old)
    assert read(old).search == ("$ORIGIN",)


def test_a_static_program_needs_nothing(built: Path) -> None:
    assert read(built / "static").needed == ()


def test_whom_it_is_for(built: Path) -> None:
    found = read(built / "main")
    here = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}[
        subprocess.check_output(["uname", "-m"], text=True).strip()
    ]
    assert found.is_for(here)
    assert not found.is_for("linux-s390x")
    content = (built / "main").read_bytes()
    assert (*content[:6], *content[18:20]) == platform_bytes(here)
    assert platform_bytes("linux-s390x") == (127, 69, 76, 70, 2, 2, 0, 22)


@pytest.mark.parametrize("path", [sys.executable])
def test_as_patchelf_says(path: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with open(path, "rb") as file:  # noqa: PTH123
        copy.write_bytes(file.read())
    assert list(read(copy).needed) == patchelf("--print-needed", copy).split()


@pytest.mark.parametrize("length", [0, 4, 17, 40, 100, 300, 1000])
def test_what_is_cut_off_is_none(built: Path, length: int) -> None:
    assert read_elf((built / "main").read_bytes()[:length]) is None


def test_text_is_none() -> None:
    assert read_elf(b"#!/bin/sh\n" * 100) is None

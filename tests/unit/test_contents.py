"""What files say of how a service can be confined: which of them count, and what is told of it."""

from __future__ import annotations

import marshal

import pytest

from bundler.codemarks import PYTHON, WRAPPER, code_marks
from bundler.elf import Elf
from bundler.pack.members import TreeEntry
from bundler.units.contents import Contents, Mark, code_notes, find_marks, find_wrappers

X86 = Elf(kind=(62, 2), dynamic=True)
POLARS = b"import ctypes, mmap\nif libc.mprotect(at, size, mmap.PROT_READ | mmap.PROT_EXEC): raise RuntimeError\n"


def entry(path: str, *marks: str, elf: Elf | None = X86) -> TreeEntry:
    return TreeEntry(path=path, mode=0o644, digest="0" * 64, size=1, elf=elf, marks=marks)


def test_files_are_told_by_what_they_say() -> None:
    tree = [
        entry("env/lib/z.so", "V8"),
        entry("env/lib/a.so", "V8", "text relocations"),
        entry("env/lib/b.so"),
        entry("app/check.py", PYTHON, elf=None),
    ]
    assert find_marks(tree, "linux-64") == (
        Mark(name="V8", files=("env/lib/a.so", "env/lib/z.so")),
        Mark(name=PYTHON, files=("app/check.py",)),
        Mark(name="text relocations", files=("env/lib/a.so",)),
    )


@pytest.mark.parametrize(
    "unused",
    [
        entry("env/lib/a.so", "V8", elf=Elf(kind=(183, 2), dynamic=True)),  # another processor's
        entry("env/lib/a.so", "V8", elf=Elf(kind=(62, 2), system=9, dynamic=True)),  # FreeBSD's
        entry("env/lib/a.so", "V8", elf=Elf(kind=(62, 2), dynamic=True, needed=("libc.musl-x86_64.so.1",))),
        entry("env/x86_64-conda-linux-gnu/sysroot/lib/a.so", "V8"),
        entry("env/lib/python3.11/test/test_mmap.py", PYTHON, elf=None),
        entry("env/lib/python3.11/site-packages/one/tests/check.py", PYTHON, elf=None),
    ],
)
def test_what_no_process_of_the_service_loads_says_nothing(unused: TreeEntry) -> None:
    assert find_marks([unused], "linux-64") == ()


@pytest.mark.parametrize(
    ("content", "marked"),
    [
        (POLARS, True),
        (b"from mmap import mmap, PROT_EXEC\nimport cffi\n", True),
        (b"import mmap\nm = mmap.mmap(-1, 99, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n", True),
        (b"m = mmap.mmap(-1, len(code), flags=f, prot=7)\n", True),
        (b"m = mmap.mmap(-1, 99, prot=3)\nprot = 7\n", False),
        (b"UC_PROT_EXEC = 4\n", False),  # a binding's constant
        (b"import ctypes\nlibc.mprotect(at, size, PROT_READ)\n", False),
        (b"", False),
    ],
)
def test_a_module_that_makes_memory_executable(content: bytes, marked: bool) -> None:
    assert code_marks("env/lib/python3.11/site-packages/one/cpu.py", content, None) == ((PYTHON,) if marked else ())
    assert code_marks("env/share/one/cpu.txt", content, None) == ()


def test_a_module_that_comes_compiled_alone() -> None:
    source = "def f():\n import mmap\n return mmap.mmap(-1, 9, prot=mmap.PROT_READ | mmap.PROT_EXEC)\n"
    compiled = marshal.dumps(compile(source, "x", "exec"))
    assert code_marks("env/lib/one.pyc", compiled, None) == (PYTHON,)
    assert code_marks("env/lib/__pycache__/one.cpython-311.pyc", compiled, None) == ()  # its source is there
    assert code_marks("env/lib/two.pyc", marshal.dumps(compile("import mmap", "x", "exec")), None) == ()


@pytest.mark.parametrize(
    ("path", "content", "marked"),
    [
        ("app/start", b"#!/bin/sh\nset -e\npython -m hello\n", True),
        ("app/start", b"#!/usr/bin/env bash\npython -m hello >log 2>&1\n", True),
        ("app/start", b"#! /usr/bin/env -S bash -e\nexec 2>&1 >log\npython\n", True),
        ("app/start.sh", b"python -m hello\n", True),
        ("app/start", b"#!/bin/sh\ncd x && exec python -m hello\n", False),
        ("app/start", b"#!/bin/sh\nif :; then\n\texec python\nfi\n", False),
        ("app/start", b"#!/usr/bin/env python\n# exec\n", False),
        ("app/start", b"#!/bin/shred\n", False),
        ("app/start.txt", b"python\n", False),
    ],
)
def test_a_script_that_stays_the_main_process(path: str, content: bytes, marked: bool) -> None:
    marks = code_marks(path, content, None)
    assert (marks == (WRAPPER,)) is marked
    tree = [entry(path, *marks, elf=None)]
    assert find_wrappers(tree) == ({path} if marked else set())
    assert find_marks(tree, "linux-64") == ()


def test_each_mark_is_told_in_a_line() -> None:
    assert code_notes(()) == ()
    (note,) = code_notes(
        (Mark(name="V8", files=("env/a", "env/b", "env/c")), Mark(name="executable stack", files=("env/\x1b[1m",)))
    )
    _, first, second = note.split("\n")
    assert first.strip().startswith("env/a and 2 more files: V8 compiles code while it runs")
    assert "its loader has to make the stack executable" in second
    assert "\x1b" not in note
    assert Contents().marks == ()

"""What in a file's content says that a process with it makes code while it runs.

Such a process needs memory that is written and then executed. Two kinds of files say so: an ELF object with an engine
in it, by a text that is the engine's own (a message, the name of a type or of a setting: what does not change from
version to version and stays when symbols are stripped), and a Python module that asks for executable memory by itself.

It has to be cheap, since every file of a payload is looked at: of an ELF object only its data and its names are, and
those only if it can ask the kernel for memory at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.elf import read_elf, read_sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.elf import Content, Elf

__all__ = ["MARKS", "PACKED", "PYTHON", "WRAPPER", "code_marks", "look"]

PACKED = "UPX"
"""A packed program, which unpacks its code into memory."""
MARKS: tuple[tuple[str, bytes], ...] = (
    ("V8", b"interpreted_frames_native_stack"),
    ("HotSpot, Java's virtual machine", b"ReservedCodeCacheSize"),
    ("LLVM", b"Unable to allocate section memory!"),
    ("LLVM", b"Symbols not found: "),
    ("LuaJIT", b"runtime code generation failed, restricted kernel?"),
    ("Xbyak (oneDNN, OpenVINO)", b"Xbyak"),
    ("AsmJit", b"6asmjit"),
    ("cffi (its callbacks)", b"Cannot allocate write+execute memory"),
    ("PCRE2's compiler (sljit)", b"endian + unaligned)"),
    ("PCRE2's compiler (sljit)", b"endian + aligned)"),
    ("SpiderMonkey", b"ExecutableAllocator::reprotectPool"),
    ("Cranelift", b"cranelift"),
    ("PyPy", b"pypyjit"),
    (".NET", b"jitStartup"),
    (".NET", b"coreclr_initialize"),
    ("Mono", b"mono_jit_init"),
    ("Julia", b"jl_init_with_image"),
    ("GNU lightning", b"_jit_new_state"),
    ("Guile", b"GUILE_JIT_THRESHOLD"),
    ("QEMU's code generator", b"dynamic translator buffer"),
    ("QEMU's code generator", b"bytes for jit buffer"),
    ("JavaScriptCore", b"jitMemoryReservationSize"),
    ("Qt's QML engine", b"QV4_JIT_CALL_THRESHOLD"),
    ("CPython's compiler", b"unable to protect executable memory"),
    ("the Tiny C Compiler", b"did you mean to configure --with-selinux"),
    ("PHP's compiler", b"opcache.jit_buffer_size"),
    ("Ruby's compiler", b"yjit-exec-mem-size"),
    ("MoarVM", b"MVM_JIT_DISABLE"),
    ("Chez Scheme", b"chez-scheme"),
    ("LIBXSMM", b"LIBXSMM_TARGET"),
    ("wazero", b"tetratelabs/wazero/internal/engine/"),
    ("Wasmer", b"wasmer_compiler"),
    ("Steel Bank Common Lisp", b"SBCL_HOME"),
    (PACKED, b"$Info: This file is packed with the UPX"),
)
"""Engines, and a text that each has in its data or among its names; the first of a file counts."""

_MAPS_TWICE = ("AsmJit", b"beamasm_")
"""Erlang's compiler has AsmJit and maps what it makes twice, once to be written and once to be executed: it runs
without memory that is both."""

PYTHON = "a Python module that makes memory executable"

WRAPPER = "a shell script without exec"
"""Says nothing of code: such a script stays the main process of the service that it starts (bundler.units.ending)."""
_SHELL = re.compile(rb"#![ \t]*(?:\S*/env[ \t]+(?:-S[ \t]+)?)?(?:\S*/)?(?:ba|da|a|z|k|mk)?sh\b")
_EXEC = re.compile(rb"(?:^|[;&|({]|\b(?:then|do|else))[ \t]*exec[ \t]+[^\s<>&0-9]", re.MULTILINE)

_ALL_RIGHTS = re.compile(rb"\bmmap\((?:[^()]|\([^()]*\)){0,400}?\bprot\s*=\s*(?:0x)?7\b")

_ASKS = (b"mmap\0", b"mmap64\0", b"mprotect\0", b"syscall\0", b"ffi_closure_alloc\0")
"""Functions by which memory can become executable, as they stand in a table of names."""
_WINDOW = 1 << 18
"""Bytes that are searched at a time: what fits into a processor's own memory is searched ten times faster."""
_OVERLAP = max(len(text) for _, text in (*MARKS, _MAPS_TWICE)) - 1
_NOT_LINKED = (b"\1\0", b"\0\1")
"""e_type of an object file, in either order of bytes: no process loads it."""
_PROGBITS, _STRTAB = 1, 3  # sh_type
_ALLOC, _EXECINSTR = 2, 4  # sh_flags
_NO_TEXT = (".eh_frame", ".gcc_except_table", ".data.rel.ro", ".got", ".nv", "__nv", ".hip")
"""Beginnings of the names of sections that are often large and hold no text of an engine's: tables of addresses, and
programs for GPUs."""


def look(path: str, content: Content) -> tuple[Elf | None, tuple[str, ...]]:
    """What the file at ``path`` says to a dynamic loader, and its :func:`code_marks`."""
    elf = read_elf(content)
    return elf, code_marks(path, content, elf)


def code_marks(path: str, content: Content, elf: Elf | None) -> tuple[str, ...]:
    """Why a process with this file needs memory that it writes and then executes; empty if nothing says so.

    What the file's loader needs comes first (:attr:`~bundler.elf.Elf.traits`), then one engine that it has.
    """
    if elf is not None:
        return (*elf.traits, *_engine(content))
    if path.endswith(".py") or (path.endswith(".pyc") and "/__pycache__/" not in path):
        return (PYTHON,) if _makes_executable(content[:]) else ()
    return (WRAPPER,) if _is_wrapper(path, content) else ()


def _is_wrapper(path: str, content: Content) -> bool:
    is_script = content[:2] == b"#!" and _SHELL.match(bytes(content[:256]))
    return bool(is_script or path.endswith(".sh")) and not _EXEC.search(bytes(content[:]))


def _makes_executable(module: Content) -> bool:
    """Whether a Python module has code of its own executed: constants alone (of a binding, a test) do nothing. Of one
    that comes compiled alone the names are to be seen.
    """
    text = bytes(module)
    if b"PROT_EXEC" in text:
        return any(way in text for way in (b"ctypes", b"cffi", b"import mmap", b"from mmap", b"\x04mmap"))
    return bool(_ALL_RIGHTS.search(text))


def _engine(content: Content) -> Iterator[str]:
    if content[16:18] in _NOT_LINKED:
        return
    places = _places(content)
    found = next((name for window in _windows(content, places) for name, text in MARKS if text in window), None)
    if found is None:
        return
    if found == _MAPS_TWICE[0] and any(_MAPS_TWICE[1] in window for window in _windows(content, places)):
        return
    yield found


def _places(content: Content) -> list[tuple[int, int]]:
    """Where text of an engine could be: beginning and end of parts of the file. All of it if it does not say."""
    sections = read_sections(content)
    if not sections:
        return [(0, len(content))]
    names = [(one.offset, one.offset + one.size) for one in sections if one.kind == _STRTAB and one.flags & _ALLOC]
    if names and not any(ask in window for window in _windows(content, names) for ask in _ASKS):
        return []
    return names + [
        (one.offset, one.offset + one.size)
        for one in sections
        if one.kind == _PROGBITS and one.flags & (_ALLOC | _EXECINSTR) == _ALLOC and not one.name.startswith(_NO_TEXT)
    ]


def _windows(content: Content, places: list[tuple[int, int]]) -> Iterator[bytes]:
    """The bytes at ``places``, in pieces that overlap by what the longest text has."""
    for begin, end in places:
        for start in range(begin, min(end, len(content)), _WINDOW):
            yield bytes(content[start : min(end, start + _WINDOW + _OVERLAP)])

"""ELF objects: what a dynamic loader reads of one before it loads it.

Of our own, since every such file of a payload is looked at: pyelftools takes milliseconds for each, this takes
microseconds. The format is the System V ABI's, https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.platforms import MACHINES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap
    from typing import TypeAlias

    from typing_extensions import Self

__all__ = ["MAGIC", "Content", "Elf", "Section", "platform_bytes", "read_elf", "read_sections"]

Content: TypeAlias = "bytes | memoryview | mmap"
"""A file's bytes; of a mapped file only the pages that are looked at are read."""

MAGIC = b"\x7fELF"
_LOAD, _DYNAMIC, _INTERPRETER, _STACK = 1, 2, 3, 0x6474E551  # p_type
_EXECUTE, _WRITE = 1, 2  # p_flags
_END, _NEEDED, _STRINGS, _SONAME, _RPATH, _RUNPATH = 0, 1, 5, 14, 15, 29  # d_tag
_TEXTREL, _FLAGS, _DF_TEXTREL = 22, 30, 4  # d_tag, d_tag, a bit of its value
_LINUX = (0, 3)
"""EI_OSABI of what Linux loads: System V and GNU. FreeBSD, Solaris and others have numbers of their own."""
_TEXT = 256
"""Bytes to look for the end of a name in at a time."""
_STACK_IS_EXECUTABLE = (62, 3)
"""e_machine of x86, where glibc makes the stack executable for an object that says nothing of it."""
_MACHINES = {
    "x86_64": (62, 2),
    "i686": (3, 1),
    "aarch64": (183, 2),
    "armv6l": (40, 1),
    "armv7l": (40, 1),
    "ppc64le": (21, 2),
    "riscv64": (243, 2),
    "s390x": (22, 2),
}
"""e_machine and the class (1: 32 bits, 2: 64 bits), by what ``uname -m`` says there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Elf:
    """``needed`` and ``soname`` are names of libraries; ``search`` is DT_RPATH or DT_RUNPATH, divided at the colons.

    ``kind`` is e_machine and the class, ``system`` is EI_OSABI. ``interpreter`` is a program's dynamic loader.
    ``dynamic``: it has a dynamic section, without which nothing can be loaded as a library (object files, core dumps
    and separate debug information have none). ``traits`` say why a loader needs memory for it that is writable and
    executable: ``text relocations``, ``executable stack``, ``writable code``. What is not there is empty.
    """

    kind: tuple[int, int]
    system: int = 0
    dynamic: bool = False
    needed: tuple[str, ...] = ()
    soname: str = ""
    search: tuple[str, ...] = ()
    interpreter: str = ""
    traits: tuple[str, ...] = ()

    def is_for(self, platform: str) -> bool:
        """Whether a loader of conda's ``platform`` would take it."""
        return self.kind == _MACHINES[MACHINES[platform]] and self.system in _LINUX

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """What ``dataclasses.asdict`` made of one, by way of JSON."""
        lists = {key: tuple(document[key]) for key in ("kind", "needed", "search", "traits")}
        return cls(**{**document, **lists})


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int
    flags: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section by its header: sh_type, sh_flags, and where its bytes are in the file."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int


def read_elf(content: Content) -> Elf | None:
    """What ``content`` says to its loader; None if it is no ELF object, or one that is cut off or damaged."""
    if content[:4] != MAGIC:
        return None
    try:
        return _read(content)
    except (struct.error, IndexError, KeyError):
        return None


def _read(content: Content) -> Elf:
    wide, order = content[4] == 2, {1: "<", 2: ">"}[content[5]]
    (machine,) = struct.unpack_from(f"{order}H", content, 18)
    segments = tuple(_segments(content, order, wide=wide))
    interpreter = next((_text(content, one.offset) for one in segments if one.kind == _INTERPRETER), "")
    entries = [entry for one in segments if one.kind == _DYNAMIC for entry in _entries(content, one, order, wide=wide)]
    tags = dict(entries)

    def texts(tag: int) -> tuple[str, ...]:
        found = [value for one, value in entries if one == tag]
        strings = _offset(segments, tags[_STRINGS]) if found else 0
        return tuple(_text(content, strings + value) for value in found)

    search = (*texts(_RUNPATH), *texts(_RPATH))
    return Elf(
        kind=(machine, content[4]),
        system=content[7],
        dynamic=bool(entries),
        needed=texts(_NEEDED),
        soname=next(iter(texts(_SONAME)), ""),
        search=tuple(place for text in search[:1] for place in text.split(":") if place),
        interpreter=interpreter,
        traits=tuple(_traits(segments, entries, machine)),
    )


def _traits(segments: tuple[_Segment, ...], entries: list[tuple[int, int]], machine: int) -> Iterator[str]:
    """See :attr:`Elf.traits`. What has no segment to load (an object file) is loaded by nobody."""
    loaded = [one.flags for one in segments if one.kind == _LOAD]
    if any(tag == _TEXTREL or (tag == _FLAGS and value & _DF_TEXTREL) for tag, value in entries):
        yield "text relocations"
    stack = [one.flags for one in segments if one.kind == _STACK]
    if loaded and any(flags & _EXECUTE for flags in stack or [machine in _STACK_IS_EXECUTABLE]):
        yield "executable stack"
    if any(flags & _WRITE and flags & _EXECUTE for flags in loaded):
        yield "writable code"


def read_sections(content: Content) -> tuple[Section, ...]:
    """The sections of an ELF object; none if it has no table of them, or one that is cut off or damaged."""
    try:
        return tuple(_sections(content))
    except (struct.error, IndexError, KeyError):
        return ()


def _sections(content: Content) -> Iterator[Section]:
    wide, order = content[4] == 2, {1: "<", 2: ">"}[content[5]]
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", content, 40 if wide else 32)
    size, count, names = struct.unpack_from(f"{order}HHH", content, 58 if wide else 46)
    form = struct.Struct(f"{order}{'IIQQQQ' if wide else 'IIIIII'}")
    if not table or not count:
        return
    headers = [form.unpack_from(content, table + number * size) for number in range(count)]
    strings = headers[names][4]
    for name, kind, flags, _, offset, length in headers:
        yield Section(_text(content, strings + name), kind, flags, offset, length)


def _segments(content: Content, order: str, *, wide: bool) -> Iterator[_Segment]:
    """The program headers."""
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", content, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", content, 54 if wide else 42)
    for number in range(count):
        start = table + number * size
        if wide:
            kind, flags, offset, address, _, length = struct.unpack_from(f"{order}IIQQQQ", content, start)
        else:
            kind, offset, address, _, length, _, flags = struct.unpack_from(f"{order}IIIIIII", content, start)
        yield _Segment(kind, offset, address, length, flags)


def _entries(content: Content, dynamic: _Segment, order: str, *, wide: bool) -> Iterator[tuple[int, int]]:
    """The dynamic section: tags with their values."""
    form = struct.Struct(f"{order}{'qQ' if wide else 'iI'}")
    for start in range(dynamic.offset, dynamic.offset + dynamic.size, form.size):
        tag, value = form.unpack_from(content, start)
        if tag == _END:
            return
        yield tag, value


def _offset(segments: tuple[_Segment, ...], address: int) -> int:
    """Where in the file lies what will be loaded to ``address``. Raises :class:`KeyError` if nowhere."""
    for one in segments:
        if one.kind == _LOAD and one.address <= address < one.address + one.size:
            return address - one.address + one.offset
    raise KeyError(address)


def _text(content: Content, start: int) -> str:
    """The C string at ``start``. Raises :class:`IndexError` if it has no end."""
    found, end = b"", start
    while b"\0" not in found:
        piece = bytes(content[end : end + _TEXT])
        if start < 0 or not piece:
            raise IndexError(start)
        found += piece
        end += _TEXT
    return found.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def platform_bytes(platform: str) -> tuple[int, ...]:
    """What every object for ``platform`` has in bytes 0 to 5 (magic, class, order) and 18 to 19 (e_machine)."""
    machine, wide = _MACHINES[MACHINES[platform]]
    little = platform != "linux-s390x"
    return (*MAGIC, wide, 1 if little else 2, *machine.to_bytes(2, "little" if little else "big"))

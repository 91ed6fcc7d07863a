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

__all__ = ["MAGIC", "Elf", "platform_bytes", "read_elf"]

Content: TypeAlias = "bytes | memoryview | mmap"
"""A file's bytes; of a mapped file only the pages that are looked at are read."""

MAGIC = b"\x7fELF"
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3  # p_type
_END, _NEEDED, _STRINGS, _SONAME, _RPATH, _RUNPATH = 0, 1, 5, 14, 15, 29  # d_tag
_LINUX = (0, 3)
"""EI_OSABI of what Linux loads: System V and GNU. FreeBSD, Solaris and others have numbers of their own."""
_TEXT = 256
"""Bytes to look for the end of a name in at a time."""
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
    and separate debug information have none). What is not there is empty.
    """

    kind: tuple[int, int]
    system: int = 0
    dynamic: bool = False
    needed: tuple[str, ...] = ()
    soname: str = ""
    search: tuple[str, ...] = ()
    interpreter: str = ""

    def is_for(self, platform: str) -> bool:
        """Whether a loader of conda's ``platform`` would take it."""
        return self.kind == _MACHINES[MACHINES[platform]] and self.system in _LINUX

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """What ``dataclasses.asdict`` made of one, by way of JSON."""
        lists = {key: tuple(document[key]) for key in ("kind", "needed", "search")}
        return cls(**{**document, **lists})


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
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
    )


def _segments(content: Content, order: str, *, wide: bool) -> Iterator[_Segment]:
    """The program headers."""
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", content, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", content, 54 if wide else 42)
    for number in range(count):
        start = table + number * size
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(f"{order}IIQQQQ", content, start)
        else:
            kind, offset, address, _, length = struct.unpack_from(f"{order}IIIII", content, start)
        yield _Segment(kind, offset, address, length)


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

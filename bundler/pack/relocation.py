"""The relocation table: what has to change in which file when a release does not lie below its default root.

The linker wrote ``<release>/env`` into the payload's files, ``<release>`` being ``/opt/<name>/releases/<version>-<build
id>``. In text what is replaced is ``<release>`` alone: files beside ``env/`` (``share/``, units, config) name
``<release>/app`` too, and with the build id in it the path is as unmistakable. In binary files it is ``<release>/env``
in whole, for only that has room behind it: the linker filled each C string up with NULs to what it was with the
package's placeholder in it.

:func:`find` looks at one file, :func:`table` writes what ``templates/install/relocate.sh`` reads on the target.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bundler.errors import PackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from mmap import mmap
    from typing import TypeAlias

__all__ = ["TABLE_DIR", "CString", "Found", "find", "longest", "table"]

Content: TypeAlias = "bytes | mmap"
"""A file's bytes; a mapped file costs no memory, however large it is."""

TABLE_DIR = "share/relocation"

_ENV = b"/env"
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/+,:=%~-")


@dataclass(frozen=True, kw_only=True)
class CString:
    """A C string that holds the baked prefix, from there on. ``offset`` and ``room`` are in bytes.

    ``parts`` is what stands between the prefixes, without the NUL: one part more than there are prefixes, the first of
    them empty. ``room`` is what the string may take: its length with the package's placeholder in the prefixes' place.
    """

    offset: int
    room: int
    parts: tuple[bytes, ...]

    @property
    def count(self) -> int:
        """How often the prefix is in it."""
        return len(self.parts) - 1

    @property
    def longest(self) -> int:
        """The longest prefix that it can take."""
        return (self.room - sum(map(len, self.parts))) // self.count


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file that carries the release's path. Text has no ``strings``; ``size`` is in bytes.

    ``shebang`` is what its interpreter line has beside the release's path (0: it has none that names it). Kernels read
    127 bytes of such a line, 255 from 5.1 on.
    """

    path: str
    size: int
    strings: tuple[CString, ...] = ()
    shebang: int = 0


def find(
    path: str, content: Content, release_dir: str, *, mode: Literal["text", "binary"] | None, placeholder: int = 0
) -> Found | None:
    """What relocating the file at ``path`` has to change; None if it is nothing.

    ``mode`` is what the package declares (``file_mode`` in paths.json), ``placeholder`` the length in bytes of the
    placeholder that it was built with. Without a declaration (entry points that the linker made, the user's own files)
    a file is text if it holds no NUL, and is left alone if it does, as conda-pack leaves it: nobody has said that its
    strings end in NULs. Raises :class:`PackError` if a string has not the room that it must have.
    """
    release = release_dir.encode()
    if content.find(release) < 0:
        return None
    if mode == "binary":
        strings = tuple(_strings(path, content, release + _ENV, placeholder))
        return Found(path=path, size=len(content), strings=strings) if strings else None
    if mode is None and content.find(b"\0") >= 0:
        return None
    return Found(path=path, size=len(content), shebang=_shebang(content, release))


def longest(entries: Iterable[Found]) -> int | None:
    """How many bytes the release's path may have for all strings to fit; None if there is no limit."""
    limits = [string.longest for entry in entries for string in entry.strings]
    return min(limits) - len(_ENV) if limits else None


def table(release_dir: str, entries: Iterable[Found]) -> dict[str, bytes]:
    """The files of the table by their path in the payload.

    ``limits`` has a line each for the path that is baked, the longest that fits (0: any) and the longest interpreter
    line without it (0: none). ``text`` has the text files' paths, each ended by a NUL, for ``xargs -0``. ``binary`` has
    a line ``file SIZE PATH`` for each file and below it ``string OFFSET ROOM REST COUNT TEXT`` for each string: REST is
    its length without the prefixes, and in TEXT each of these is a ``@``. In PATH and TEXT the bytes that a shell's
    ``read`` might not bring through are written ``\\0ooo``, as ``printf %b`` takes them.
    """
    ordered = sorted(entries, key=lambda entry: os.fsencode(entry.path))
    shebang = max((entry.shebang for entry in ordered), default=0)
    limits = f"baked {release_dir}\nlongest {longest(ordered) or 0}\nshebang {shebang}\n"
    files = {
        "limits": limits.encode(),
        "text": b"".join(os.fsencode(entry.path) + b"\0" for entry in ordered if not entry.strings),
        "binary": b"".join(_lines(entry) for entry in ordered if entry.strings),
    }
    return {f"{TABLE_DIR}/{name}": content for name, content in files.items()}


def _strings(path: str, content: Content, prefix: bytes, placeholder: int) -> Iterator[CString]:
    start = content.find(prefix)
    while start >= 0:
        end = content.find(b"\0", start)
        if end < 0:
            end = len(content)
        parts = tuple(content[start:end].split(prefix))
        room = end - start + (len(parts) - 1) * (placeholder - len(prefix))
        # Had the linker padded less, a longer prefix would run into what follows.
        if placeholder < len(prefix) or content[end : start + room] != bytes(start + room - end):
            raise PackError(
                f"the string at byte {start} is shorter than its placeholder ({placeholder} bytes)",
                where=path,
                remedy="The package declares a different placeholder than it was built with: use another build of it.",
            )
        yield CString(offset=start, room=room, parts=parts)
        start = content.find(prefix, end)


def _shebang(content: Content, release: bytes) -> int:
    end = content.find(b"\n")
    line = content[: end if end >= 0 else len(content)] if content[:2] == b"#!" else b""
    return len(line) - len(release) if release in line else 0


def _lines(entry: Found) -> bytes:
    lines = [f"file {entry.size} {_encoded(os.fsencode(entry.path))}"]
    for string in entry.strings:
        rest, text = sum(map(len, string.parts)), "@".join(map(_encoded, string.parts))
        lines.append(f"string {string.offset} {string.room} {rest} {string.count} {text}")
    return "".join(f"{line}\n" for line in lines).encode()


def _encoded(data: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\0{byte:03o}" for byte in data)

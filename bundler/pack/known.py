"""Content whose SHA-256 was taken before is known again by its place, length, CRC-32 and Adler-32.

Files of a package are read for each payload, and their SHA-256 is an eighth of a build's CPU time where the processor
has no instructions for it. The checks tell accidents from what is whole: they miss one in 2**64. But two contents can
be made that have the same checks. So these count only for what went through our own hands: the file at this path of
this package's own copy, whose SHA-256 was taken before. They say nothing of another path, nor of another package's
file, whatever digest it declares. They are no protection against who may write to the cache, who could as well change
there what is unpacked.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import deflate

from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TypeAlias

    from typing_extensions import Buffer

__all__ = ["Checks", "Digest", "Known"]

_FORM = b"by place"
"""What a note begins with; older ones have another form."""
_ROW = struct.Struct(">16s32sQII")
_Checks: TypeAlias = "tuple[int, int, int]"


class Checks:
    """Length, CRC-32 and Adler-32 of bytes as they come."""

    def __init__(self) -> None:
        self.value = (0, 0, 1)

    def update(self, data: Buffer) -> None:
        length, crc, adler = self.value
        self.value = length + memoryview(data).nbytes, deflate.crc32(data, crc), deflate.adler32(data, adler)


class Known:
    """The SHA-256 and checks of one package's files by their path, in a file; several threads may ask and add.

    ``path`` None: nothing is known, and nothing kept. What is torn or damaged is nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        noted = (read_sealed(path) if path is not None else None) or b""
        rows = noted.removeprefix(_FORM) if noted.startswith(_FORM) else b""
        self._known: dict[bytes, tuple[str, _Checks]] = {
            place: (sha256.hex(), (length, crc, adler)) for place, sha256, length, crc, adler in _rows(rows)
        }
        self._added = False

    def digest(self, place: str, declared: tuple[str, ...] = ()) -> Digest:
        """Takes the digest of the content of the file at ``place``, which should have one of these SHA-256."""
        return Digest(self, _key(place, "declared"), declared)

    def sha256(self, place: str, content: Buffer) -> str:
        """The SHA-256 of what is packed at ``place``, which nobody has declared."""
        key, checks = _key(place, "packed"), Checks()
        checks.update(content)
        sha256, known = self.of(key)
        if known != checks.value:
            sha256 = hashlib.sha256(content).hexdigest()
            self.add(key, sha256, checks.value)
        return sha256

    def of(self, key: bytes) -> tuple[str, _Checks | None]:
        return self._known.get(key, ("", None))

    def add(self, key: bytes, sha256: str, checks: _Checks) -> None:
        self._known[key] = (sha256, checks)
        self._added = True

    def keep(self) -> None:
        """Write down what was added."""
        if self._path is not None and self._added:
            known = sorted(self._known.items())
            rows = (_ROW.pack(place, bytes.fromhex(sha256), *checks) for place, (sha256, checks) in known)
            write_sealed(self._path, _FORM + b"".join(rows))


def _rows(noted: bytes) -> Iterator[tuple[bytes, bytes, int, int, int]]:
    return _ROW.iter_unpack(noted) if len(noted) % _ROW.size == 0 else iter(())


def _key(place: str, what: str) -> bytes:
    """``what``: a module's bytecode is declared with one header and packed with another."""
    return hashlib.blake2b(f"{what} {place}".encode("utf-8", "surrogateescape"), digest_size=16).digest()


class Digest:
    """The SHA-256 of content that comes in pieces: the declared one, if it was taken here and the checks are its."""

    def __init__(self, known: Known, key: bytes, declared: tuple[str, ...]) -> None:
        self._known = known
        self._key = key
        self._declared = declared
        sha256, self._expected = known.of(key)
        self._checks = Checks()
        self._sha256 = None if self._expected and declared == (sha256,) else hashlib.sha256()

    def update(self, data: Buffer) -> None:
        if self._declared:
            self._checks.update(data)
        if self._sha256 is not None:
            self._sha256.update(data)

    def sha256(self) -> str | None:
        """None: this is other content than was declared."""
        if self._sha256 is None:
            return self._declared[0] if self._checks.value == self._expected else None
        found = self._sha256.hexdigest()
        if not self._declared:
            return found
        if found not in self._declared:
            return None
        self._known.add(self._key, found, self._checks.value)
        return found

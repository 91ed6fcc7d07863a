"""Cache SHA-256 digests by path, length, CRC-32 and Adler-32.

Packages' files are read for each payload, and SHA-256 takes an eighth of a build's CPU time if the processor has no
instructions for it. The checksums detect all but one in 2**64 accidental changes, but different contents with the same
checksums can be constructed. So they are used only for files that we have hashed ourselves: the file at this path in
this package's own copy. They are not used for other paths, or other packages' files, whatever digest these declare.
They do not protect against somebody with write access to the cache, who could change the unpacked files anyway.
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
"""The first line of a cache file; older ones have a different format."""
_ROW = struct.Struct(">16s32sQII")
_Checks: TypeAlias = "tuple[int, int, int]"


class Checks:
    """Incremental length, CRC-32 and Adler-32."""

    def __init__(self) -> None:
        self.value = (0, 0, 1)

    def update(self, data: Buffer) -> None:
        length, crc, adler = self.value
        self.value = length + memoryview(data).nbytes, deflate.crc32(data, crc), deflate.adler32(data, adler)


class Known:
    """The SHA-256 and checksums of a package's files by path, stored in a file; thread-safe.

    ``path`` None: nothing is cached. A truncated or corrupted file counts as empty.
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
        """The SHA-256 of the file packed at ``place``, for which there is no declaration."""
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
        """Write the file, if anything was added."""
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
    """An incremental SHA-256: the declared one, if we have verified it before and the checksums match."""

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
        """None: the content differs from the declaration."""
        if self._sha256 is None:
            return self._declared[0] if self._checks.value == self._expected else None
        found = self._sha256.hexdigest()
        if not self._declared:
            return found
        if found not in self._declared:
            return None
        self._known.add(self._key, found, self._checks.value)
        return found

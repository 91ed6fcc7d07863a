"""Content whose SHA-256 was taken before is known again by its length, CRC-32 and Adler-32.

Files of a package are read for each payload, and their SHA-256 is an eighth of a build's CPU time where the processor
has no instructions for it. That the content with this SHA-256 has these checks is a fact, which no later copy of the
package makes stale. It serves both ways: content that is declared has to have the checks of its SHA-256; content that
follows from such (bytecode with another header) is looked up by its checks. Together they miss one accident in 2**64;
they are no protection against who may write to the cache, who could as well change there what is unpacked.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import deflate

from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

__all__ = ["Checks", "Digest", "Known"]

_ROW = struct.Struct(">32sQII")


class Checks:
    """Length, CRC-32 and Adler-32 of bytes as they come."""

    def __init__(self) -> None:
        self.value = (0, 0, 1)

    def update(self, data: Buffer) -> None:
        length, crc, adler = self.value
        self.value = length + memoryview(data).nbytes, deflate.crc32(data, crc), deflate.adler32(data, adler)


class Known:
    """The checks of one package's files by their SHA-256, in a file; several threads may ask and add.

    ``path`` None: nothing is known, and nothing kept. What is torn or damaged is nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        noted = read_sealed(path) if path is not None else None
        self._known = {sha256.hex(): tuple(checks) for sha256, *checks in _ROW.iter_unpack(noted or b"")}
        self._by_checks = {checks: sha256 for sha256, checks in self._known.items()}
        self._added = False

    def digest(self, declared: tuple[str, ...] = ()) -> Digest:
        """Takes the digest of content that should have one of these SHA-256."""
        return Digest(self, declared)

    def sha256(self, content: Buffer) -> str:
        """The SHA-256 of content that nobody has declared."""
        checks = Checks()
        checks.update(content)
        found = self._by_checks.get(checks.value)
        if found is None:
            found = hashlib.sha256(content).hexdigest()
            self.add(found, checks.value)
        return found

    def of(self, sha256: str) -> tuple[int, int, int] | None:
        return self._known.get(sha256)

    def add(self, sha256: str, checks: tuple[int, int, int]) -> None:
        self._known[sha256] = checks
        self._by_checks[checks] = sha256
        self._added = True

    def keep(self) -> None:
        """Write down what was added."""
        if self._path is not None and self._added:
            rows = (_ROW.pack(bytes.fromhex(sha256), *checks) for sha256, checks in sorted(self._known.items()))
            write_sealed(self._path, b"".join(rows))


class Digest:
    """The SHA-256 of content that comes in pieces: one of the declared ones if their checks are all known."""

    def __init__(self, known: Known, declared: tuple[str, ...]) -> None:
        self._known = known
        self._declared = declared
        self._expected = {known.of(sha256): sha256 for sha256 in declared}
        self._checks = Checks()
        self._sha256 = hashlib.sha256() if None in self._expected or not declared else None

    def update(self, data: Buffer) -> None:
        if self._declared:
            self._checks.update(data)
        if self._sha256 is not None:
            self._sha256.update(data)

    def sha256(self) -> str | None:
        """None: this is other content than was declared."""
        if self._sha256 is None:
            return self._expected.get(self._checks.value)
        found = self._sha256.hexdigest()
        if not self._declared:
            return found
        if found not in self._declared:
            return None
        self._known.add(found, self._checks.value)
        return found

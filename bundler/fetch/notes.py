"""What a verified archive was found to hold, noted beside it: what is not to be unpacked need not be read again.

A note is written once the archive's own digest was found right, carries a digest of itself, and has its name from the
moment it is whole; one that is torn or damaged is none.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_note", "write_note"]


def write_note(archive: Path, info: Mapping[str, bytes]) -> None:
    """Keep ``info`` (path -> content). A full disk costs the next build time, not this one its success."""
    text = {name: content.decode("utf-8", "surrogateescape") for name, content in info.items()}
    content = json.dumps({"size": archive.stat().st_size, "info": text}, sort_keys=True).encode()
    note = _note(archive)
    with suppress(OSError), tempfile.TemporaryDirectory(prefix=".", dir=note.parent) as room:
        written = Path(room) / note.name
        written.write_bytes(hashlib.sha256(content).digest() + content)
        written.replace(note)


def read_note(archive: Path) -> dict[str, bytes] | None:
    """What was kept of ``archive``; None if nothing was, or if the archive has another size by now or is gone."""
    try:
        noted, size = _note(archive).read_bytes(), archive.stat().st_size
    except OSError:
        return None
    digest, content = noted[:32], noted[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    found = json.loads(content)
    if found["size"] != size:
        return None
    return {name: text.encode("utf-8", "surrogateescape") for name, text in found["info"].items()}


def _note(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.info")

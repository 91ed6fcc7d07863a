"""What a verified archive was found to hold, noted beside it: what is not to be unpacked need not be read again.

A note is written once the archive's own digest was found right.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read_note", "write_note"]


def write_note(archive: Path, info: Mapping[str, bytes]) -> None:
    """Keep ``info`` (path -> content)."""
    text = {name: content.decode("utf-8", "surrogateescape") for name, content in info.items()}
    noted = json.dumps({"size": archive.stat().st_size, "info": text}, sort_keys=True)
    write_sealed(_note(archive), noted.encode())


def read_note(archive: Path) -> dict[str, bytes] | None:
    """What was kept of ``archive``; None if nothing was, or if the archive has another size by now or is gone."""
    noted = read_sealed(_note(archive))
    if noted is None:
        return None
    try:
        size = archive.stat().st_size
    except OSError:
        return None
    found = json.loads(noted)
    if found["size"] != size:
        return None
    return {name: text.encode("utf-8", "surrogateescape") for name, text in found["info"].items()}


def _note(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.info")

"""Bundles that earlier code has built, as they lie on servers: ``make.py`` makes one, once, and it is kept.

conda-bundler was 0.1.0 from its first commit on, and no commit has a tag. So there are two: what 0.1.0 was when it
first did all that a server sees (units, manage, rollback, jobs), and what it was before its rooms were named anew.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from pathlib import Path

__all__ = ["COMMITS", "kept", "put_bundle", "unpack"]

COMMITS = {
    "0.1.0-first": "de1ccd3a9b85924e8773d161f90bcdf372447e10",
    "0.1.0-last": "7b0139d986d401ab3dc9f0dfc2ec09c80710d166",
}
"""Name -> the commit whose code has built it."""


def kept(name: str) -> Path:
    """The bundle's tar, compressed."""
    return Path(__file__).with_name(f"{name}.tar.xz")


def put_bundle(name: str, room: Path) -> Path:
    """The bundle in ``room``, with its checksum beside it, as it was built."""
    content = lzma.decompress(kept(name).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        bundle = room / f"{tar.getnames()[0]}.tar"
    bundle.write_bytes(content)
    bundle.with_name(f"{bundle.name}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {bundle.name}\n")
    return bundle


def unpack(name: str, room: Path) -> Path:
    """The bundle's directory, unpacked in ``room``."""
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(kept(name).read_bytes()))) as tar:
        tar.extractall(room, filter="data")
        return room / tar.getnames()[0]

"""Bytecode that does not depend on mtimes.

A timestamp ``.pyc`` (PEP 3147) records its source's mtime. The payload has one mtime for all files, so every one
of them would be stale, and the service, for which the release is read-only, would compile at each start. An
unchecked hash ``.pyc`` (PEP 552, flags 1) is loaded as it is; only the 16-byte header differs, so neither a
compiler nor the environment's own Python is needed.
"""

from __future__ import annotations

import hashlib

__all__ = ["unchecked"]

_HEADER = 16
_UNCHECKED = (1).to_bytes(4, "little")


def unchecked(pyc: bytes, source: bytes) -> bytes:
    """``pyc`` with an unchecked-hash header if it has a timestamp header, else as it is.

    The hash field is no more than a note here (nobody compares it); a part of the source's SHA-256 serves, since
    importlib's own depends on the Python that computes it.
    """
    flags = pyc[4:8]
    if len(pyc) < _HEADER or any(flags):
        return pyc
    return pyc[:4] + _UNCHECKED + hashlib.sha256(source).digest()[:8] + pyc[_HEADER:]

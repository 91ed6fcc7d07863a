"""The statement: a small text file with the digest of every file of a bundle. This is what is signed.

::

    # conda-bundler statement 1
    # bundle hello 1.2.0-3f2a9c1d8e4b linux-64
    <sha256>  hello-1.2.0-linux-64.tar
    <sha256>  hello-1.2.0-linux-64/install.sh
    …

The format is that of sha256sum(1), which ignores lines that begin with ``#``: ``sha256sum -c --ignore-missing`` checks
the .tar or .run, or the directory that was unpacked from it. The first digest is that of the .tar or .run itself, and
so covers the tar's headers and the script; for a bundle that is a directory there are only the digests of its files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.digests import file_sha256
from bundler.errors import VerificationError
from bundler.reader.open import translated

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.reader.open import OpenBundle

__all__ = ["STATEMENT", "Statement", "make_statement", "read_statement"]

STATEMENT = ".statement"
"""The suffix of a statement's file name, after the bundle's name."""
_FORMAT = "# conda-bundler statement 1"
_BUNDLE = re.compile(r"# bundle ([a-z][a-z0-9-]{0,30}) ([0-9A-Za-z._+~-]{1,60}) (linux-[a-z0-9]+)")
_FILE = re.compile(r"([0-9a-f]{64})  ([^\n\\]+)")
_LARGEST = 1 << 20
_SIGN_AGAIN = "Sign the bundle: conda-bundler sign"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """``release`` is version and build id; ``files`` are SHA-256 by path, sorted, the bundle's own file first."""

    name: str
    release: str
    platform: str
    files: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """The exact text that is signed."""
        lines = (f"{digest}  {path}" for path, digest in self.files)
        return "\n".join([_FORMAT, f"# bundle {self.name} {self.release} {self.platform}", *lines, ""])


def make_statement(bundle: OpenBundle) -> Statement:
    """The statement of a bundle as it is now; this reads all of it. Raises what :func:`open_bundle` raises."""
    manifest = bundle.manifest
    with translated(bundle.path):
        whole = () if bundle.form == "dir" else ((bundle.path.name, file_sha256(bundle.path)),)
        inside = tuple((f"{bundle.top}/{path}", bundle.pieces[path].sha256()) for path in sorted(bundle.pieces))
    return Statement(name=manifest.name, release=manifest.release, platform=manifest.platform, files=(*whole, *inside))


def read_statement(path: Path) -> tuple[Statement, bytes]:
    """A statement and its exact bytes. Raises :class:`VerificationError` if it is not one."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError as missing:
        raise VerificationError("no such statement", where=str(path), remedy=_SIGN_AGAIN) from missing
    except OSError as failed:
        raise VerificationError(f"cannot be read: {failed.strerror}", where=str(path)) from failed
    try:
        text = content.decode() if len(content) <= _LARGEST else ""
    except UnicodeDecodeError:
        text = ""
    first, _, rest = text.partition("\n")
    about, _, lines = rest.partition("\n")
    bundle = _BUNDLE.fullmatch(about)
    files = [_FILE.fullmatch(line) for line in lines.removesuffix("\n").split("\n")]
    found = tuple((line[2], line[1]) for line in files if line)
    is_one = first == _FORMAT and len(dict(found)) == len(files) and lines.endswith("\n")
    if bundle is None or not is_one:
        raise VerificationError("not a conda-bundler statement", where=str(path), remedy=_SIGN_AGAIN)
    return Statement(name=bundle[1], release=bundle[2], platform=bundle[3], files=found), content

"""The listing of an unpacked payload, as created by ``templates/install/unpacked-listing.sh``.

install.sh contains the digest of this listing, to detect a tar on the server that interprets the payload differently
from ``verify``. It has paths, types, modes, targets of links and sizes of files; and the digest of the file with their
digests. The content is not read again: it comes from the stream whose digest was verified.
"""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

from bundler.pack.members import DIGESTS, LINK_MODE, as_bytes, in_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.pack.members import TreeEntry

__all__ = ["unpacked_sha256"]

_DIRECTORY = stat.filemode(stat.S_IFDIR | 0o755)
_LINK = stat.filemode(stat.S_IFLNK | LINK_MODE)


def unpacked_sha256(entries: Iterable[TreeEntry], directories: Iterable[str]) -> str:
    """The digest of the listing's lines, sorted bytewise."""
    lines = [f"{_DIRECTORY} ./{in_list(path)}" for path in directories]
    for entry in entries:
        if entry.is_link:
            lines.append(f"{_LINK} ./{in_list(entry.path)} -> {in_list(entry.digest)}")
            continue
        lines += [f"{stat.filemode(stat.S_IFREG | entry.mode)} ./{in_list(entry.path)}", f"{entry.size}"]
        if entry.path == DIGESTS:
            lines.append(entry.digest)
    return hashlib.sha256(b"".join(sorted(as_bytes(f"{line}\n") for line in lines))).hexdigest()

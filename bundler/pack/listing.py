"""The tree that a payload unpacks to -> what ``templates/install/unpacked-listing.sh`` finds there.

install.sh has the digest of this list, so that a tar that has read the payload otherwise than ``verify`` is noticed on
the target. It has paths, kinds, modes, links' targets and the files' sizes; and the digest of the file that lists
their digests. Their content is not read again: it is that of the stream whose digest was right.
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
    """The digest of the list's lines, sorted by their bytes."""
    lines = [f"{_DIRECTORY} ./{in_list(path)}" for path in directories]
    for entry in entries:
        if entry.is_link:
            lines.append(f"{_LINK} ./{in_list(entry.path)} -> {in_list(entry.digest)}")
            continue
        lines += [f"{stat.filemode(stat.S_IFREG | entry.mode)} ./{in_list(entry.path)}", f"{entry.size}"]
        if entry.path == DIGESTS:
            lines.append(entry.digest)
    return hashlib.sha256(b"".join(sorted(as_bytes(f"{line}\n") for line in lines))).hexdigest()

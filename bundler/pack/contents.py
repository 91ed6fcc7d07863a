"""What each segment unpacks to -> the lists in the payload by which a target finds the same content in a release.

A target that has a segment's files in an earlier release need not unpack them again: it links them. So the payload says
of each segment what it comes to (``share/contents``: ``ID FILES LINKS NAME``), and lists its files and links in the
same order, those of one segment one behind the other: ``share/digests`` has FILES lines of it, ``share/links`` LINKS.

Two segments with the same ID unpack to the same files and links, whichever bundles they are in. One with the ID ``-``
is never linked: it carries the release's path or is the release's own, or has a name that no line of a list can hold as
it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bundler.pack.members import DIGESTS, TreeEntry, as_bytes, digest_list, in_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from bundler.pack.segments import Segment

__all__ = ["CONTENTS", "LINKS", "NEVER_LINKED", "Content", "content_id", "contents_of", "lists", "wrong_lists"]

CONTENTS = "share/contents"
LINKS = "share/links"
NEVER_LINKED = "-"
"""Stands for the ID."""
_CLOSING = "list"
"""The segment that the lists are in."""
_FORM = b"segment 1\0"
"""Before what an ID is the digest of. With another number here nothing is taken for the same as before."""
_BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class Content:
    """A segment's files and links, sorted by path; ``id`` is empty if nobody has said one."""

    name: str
    id: str
    entries: tuple[TreeEntry, ...]

    @cached_property
    def files(self) -> tuple[TreeEntry, ...]:
        return tuple(entry for entry in self.entries if not entry.is_link)

    @cached_property
    def links(self) -> tuple[TreeEntry, ...]:
        return tuple(entry for entry in self.entries if entry.is_link)

    @property
    def kib(self) -> int:
        """What a filesystem with 4 KiB blocks needs for it."""
        return sum(-(-entry.size // _BLOCK) * _BLOCK for entry in self.entries) // 1024

    @property
    def line(self) -> str:
        """In ``share/contents``; empty if it has neither files nor links."""
        return f"{self.id} {len(self.files)} {len(self.links)} {self.name}\n" if self.entries else ""

    @classmethod
    def of(cls, name: str, entries: Iterable[TreeEntry], *, id: str | None = None) -> Content:  # noqa: A002
        """``id`` None: what :func:`content_id` says."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.path))
        return cls(name=name, id=content_id(ordered) if id is None else id, entries=ordered)


def contents_of(
    segments: Iterable[Segment], held: Iterable[tuple[TreeEntry, ...]], *, carriers: AbstractSet[str]
) -> Iterator[Content]:
    """What was written of each segment. ``carriers`` are the paths of the files that carry the release's path."""
    for segment, entries in zip(segments, held, strict=True):
        never = not segment.linkable or any(entry.path in carriers for entry in entries)
        yield Content.of(segment.name, entries, id=NEVER_LINKED if never else None)


def content_id(entries: Sequence[TreeEntry]) -> str:
    """The ID of a segment that has these, sorted by path."""
    if not entries or any(in_list(entry.path) != entry.path for entry in entries):
        return NEVER_LINKED
    digest = hashlib.sha256(_FORM)
    for entry in entries:
        kind = "link" if entry.is_link else "file"
        digest.update(as_bytes(f"{kind} {entry.mode:o} {entry.size} {entry.path}\0{entry.digest}\0"))
    return digest.hexdigest()


def lists(contents: Iterable[Content]) -> dict[str, bytes]:
    """The three lists by their paths in the payload, of all its segments but the one that they are in.

    Each file has a line, but for the list of digests itself.
    """
    others = tuple(contents)
    links = as_bytes("".join(f"./{in_list(link.path)}\n" for one in others for link in one.links))
    closing = f"{NEVER_LINKED} 2 0 {_CLOSING}\n"
    listed = as_bytes("".join(one.line for one in others) + closing)
    own = (_entry(CONTENTS, listed), _entry(LINKS, links))
    digests = b"".join(digest_list(files) for files in (*(one.files for one in others), own))
    return {CONTENTS: listed, DIGESTS: digests, LINKS: links}


def wrong_lists(contents: Iterable[Content], closing: Iterable[TreeEntry]) -> tuple[str, ...]:
    """Which of the lists among ``closing``, what is in the last segment, are not those of ``contents``, the others."""
    there = {entry.path: entry.digest for entry in closing}
    return tuple(path for path, listed in lists(contents).items() if there.get(path) != _entry(path, listed).digest)


def _entry(path: str, content: bytes) -> TreeEntry:
    return TreeEntry(path=path, mode=0o644, digest=hashlib.sha256(content).hexdigest(), size=len(content))

"""What a bundle says of its segments, against what they unpack to: their IDs and sizes, the lists in the payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.bundle.segmentlist import has_contents
from bundler.digests import sha256_of
from bundler.pack.contents import NEVER_LINKED, Content, content_id, wrong_lists
from bundler.pack.members import DIGESTS, digest_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.bundle.entries import PayloadEntry
    from bundler.pack.members import TreeEntry
    from bundler.reader.tree import Tree

__all__ = ["content_problems"]


def content_problems(payload: PayloadEntry, tree: Tree) -> tuple[str, ...]:
    """A sentence for each list in the payload, and each segment, that is not what is said of it."""
    if not has_contents(payload):
        return tuple(_digest_problems(tree.entries))
    contents = [Content.of(one.name, held, id=one.id) for one, held in zip(payload.segments, tree.held, strict=True)]
    return (*_segment_problems(payload, contents), *_list_problems(contents, tree))


def _segment_problems(payload: PayloadEntry, contents: Iterable[Content]) -> Iterator[str]:
    for said, content in zip(payload.segments, contents, strict=True):
        if said.id not in (NEVER_LINKED, content_id(content.entries)):
            yield f"segment {said.name} unpacks to other files than its ID in manifest.json says"
        if (said.files, said.kib) != (len(content.entries), content.kib):
            yield f"segment {said.name} unpacks to a different number of files or bytes than manifest.json says"


def _list_problems(contents: list[Content], tree: Tree) -> Iterator[str]:
    there = {entry.path for entry in tree.held[-1]}
    for path in wrong_lists(contents[:-1], tree.held[-1]):
        yield f"{path} does not match its files" if path in there else f"{path} is missing"


def _digest_problems(entries: Iterable[TreeEntry]) -> Iterator[str]:
    """Of a bundle of before there were IDs, which has no list but that of digests."""
    entries = tuple(entries)
    listed = sha256_of([digest_list(entry for entry in entries if entry.path != DIGESTS)])
    there = [entry.digest for entry in entries if entry.path == DIGESTS]
    if there != [listed]:
        yield f"{DIGESTS} does not match its files" if there else f"{DIGESTS} is missing"

"""The file ``segments`` of a bundle: where in the payload each segment lies, for install.sh, which reads no JSON.

A line a segment, in the payload's order: ``OFFSET LENGTH SHA256 ID FILES KIB NAME``. The first three are of the
payload's bytes, the others as :class:`~bundler.bundle.entries.SegmentEntry` has them. All of it is the manifest's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundler.bundle.entries import PayloadEntry

__all__ = ["SEGMENTS", "has_contents", "segment_list"]

SEGMENTS = "segments"
"""Its name in the bundle."""


def has_contents(payload: PayloadEntry) -> bool:
    """Whether it is known what the segments unpack to, as it is but of the oldest bundles."""
    return bool(payload.segments) and all(segment.id for segment in payload.segments)


def segment_list(payload: PayloadEntry) -> bytes:
    """The file of a bundle with this payload."""
    lines = (
        f"{one.offset} {one.length} {one.sha256} {one.id} {one.files} {one.kib} {one.name}\n"
        for one in payload.segments
    )
    return "".join(lines).encode()

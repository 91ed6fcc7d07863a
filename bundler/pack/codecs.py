"""How a payload is compressed: independent frames that concatenate to one valid stream.

Any number of gzip members (RFC 1952), zstd frames (RFC 8878) or xz streams one behind the other are one file that
stock tools read, so blocks are compressed in parallel and kept between builds. Levels were chosen by `make bench`.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BLOCK", "CODECS", "Codec"]

BLOCK = 8 << 20
"""Input of one frame, bytes: larger ones cost memory, smaller ones compression."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One way to compress. ``identity`` names all that its output depends on beside the input."""

    name: str
    suffix: str
    identity: str
    compress: Callable[[memoryview], bytes | bytearray]


def _gzip(level: int) -> Codec:
    import deflate

    return Codec(
        name="gzip",
        suffix=".tar.gz",
        identity=f"gzip {level}, deflate {deflate.__version__}",
        compress=lambda block: deflate.gzip_compress(block, level),
    )


def _zstd(level: int) -> Codec:
    import zstandard

    return Codec(
        name="zstd",
        suffix=".tar.zst",
        identity=f"zstd {level}, zstandard {zstandard.__version__}",
        compress=lambda block: zstandard.ZstdCompressor(level=level, write_checksum=True).compress(block),
    )


def _xz(preset: int, dictionary: int) -> Codec:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary}]
    return Codec(
        name="xz",
        suffix=".tar.xz",
        identity=f"xz {preset}, dictionary {dictionary}",
        compress=lambda block: lzma.compress(block, check=lzma.CHECK_CRC32, filters=filters),
    )


def _none() -> Codec:
    return Codec(name="none", suffix=".tar", identity="none", compress=bytes)


CODECS: dict[str, Callable[[], Codec]] = {
    "gzip": lambda: _gzip(3),
    "zstd": lambda: _zstd(3),
    "xz": lambda: _xz(6, dictionary=4 << 20),  # twelve times as much memory for each thread
    "none": _none,
}
"""By the name that ``--compression`` takes. Called late: only the chosen library is imported."""

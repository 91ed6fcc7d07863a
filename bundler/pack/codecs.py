"""Compression of payloads: independent frames that are concatenated to one valid stream.

Stock tools read any number of concatenated gzip members (RFC 1952), zstd frames (RFC 8878) or xz streams as one file.
So blocks are compressed in parallel and cached between builds. Levels were chosen with `make bench`.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundler.pack.members import Kind

__all__ = ["BLOCK", "CODECS", "Codec"]

BLOCK = 8 << 20
"""The uncompressed size of a frame: larger ones need more memory, smaller ones compress less."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """A compression method. ``identity`` names all that its output depends on in addition to the input.

    ``compress`` takes a block and its kind; ``by_kind``: the kind makes a difference.
    """

    name: str
    suffix: str
    identity: str
    compress: Callable[[memoryview, Kind], bytes | bytearray]
    by_kind: bool = False


def _gzip(levels: Mapping[Kind, int]) -> Codec:
    import deflate

    return Codec(
        name="gzip",
        suffix=".tar.gz",
        identity=f"gzip {sorted(levels.items())}, deflate {deflate.__version__}",
        compress=lambda block, kind: deflate.gzip_compress(block, levels[kind]),
        by_kind=True,
    )


def _zstd(level: int, hash_log: int) -> Codec:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, hash_log=hash_log, source_size=BLOCK, write_checksum=True
    )
    return Codec(
        name="zstd",
        suffix=".tar.zst",
        identity=f"zstd {level}, hash log {hash_log}, zstandard {zstandard.__version__}",
        compress=lambda block, _: zstandard.ZstdCompressor(compression_params=parameters).compress(block),
    )


def _xz(preset: int, dictionary: int) -> Codec:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary}]
    return Codec(
        name="xz",
        suffix=".tar.xz",
        identity=f"xz {preset}, dictionary {dictionary}",
        compress=lambda block, _: lzma.compress(block, check=lzma.CHECK_CRC32, filters=filters),
    )


def _none() -> Codec:
    return Codec(name="none", suffix=".tar", identity="none", compress=lambda block, _: bytes(block))


CODECS: dict[str, Callable[[], Codec]] = {
    # Level 3 would take bytecode half as long again, for 3 %; level 4 costs other files least for what it gains.
    "gzip": lambda: _gzip({"bytecode": 1, "library": 3, "other": 4}),
    "zstd": lambda: _zstd(3, hash_log=16),  # half of level 3's own: a core's cache holds it
    "xz": lambda: _xz(6, dictionary=4 << 20),  # twelve times as much memory for each thread
    "none": _none,
}
"""By the name that ``--compression`` takes. Called late: only the chosen library is imported."""

"""install.sh as far as the payload is concerned: from its start to ``.complete``, without a machine around it.

The script is the bundle's own, with another last line: it checks itself and the bundle, unpacks, verifies, refuses what
is not a plain tree, syncs and names the release. Left out are preflight, units and the start of the service, which do
not depend on the payload and need systemd. Nothing is stubbed; only the root is another one, and where it is asked for
the machine is taken for one without zstd.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from benchmarks.measure import BenchError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BROUGHT", "GZIP_ALONE", "stage_script"]

GZIP_ALONE = "install.sh, gzip, where zstd is not"
BROUGHT = "install.sh, zstd, where only the bundle has it"
"""The subjects of that machine: what is there decides how fast a payload is read."""

_MAIN = '\nmain "$@"\n'
_FUNCTIONS = ("verify_bundle", "gzip_reader", "needs_decompressor", "stage_release", "relocate")
_WITHOUT_ZSTD = """
gzip_reader() { echo gzip; }
needs_decompressor() { [ -n "$DECOMPRESSOR" ]; }
"""
_NEEDED = ("BAKED_ROOT=", *(f"\n{name}() {{" for name in _FUNCTIONS))


def stage_script(bundle: Path, root: Path, *, relocate: bool = False, without_zstd: bool = False) -> Path:
    """Write the script beside ``root`` and return its path. It wants ``root/releases`` and ``root/work``, both empty.

    Without ``relocate`` it takes ``root`` for its default root, and has nothing to rewrite.
    """
    text = (bundle / "install.sh").read_text(encoding="utf-8")
    if text.count(_MAIN) != 1 or not all(part in text for part in _NEEDED):
        raise BenchError("is not made as the benchmarks expect it", where="install.sh")
    steps = f"""
BUNDLE={shlex.quote(str(bundle))}
ROOT={shlex.quote(str(root))}
{"" if relocate else "BAKED_ROOT=$ROOT"}
{_WITHOUT_ZSTD if without_zstd else ""}
SELF=$BUNDLE/install.sh
WORK=$ROOT/work
PLACE=$ROOT
RECORD=$WORK
self_check
verify_bundle
stage_release
end_well
"""
    script = root.with_name(f"{root.name}.sh")
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(text.replace(_MAIN, steps), encoding="utf-8")
    return script

"""Timestamp ``.pyc`` files, as native conda packages ship them."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.util import cache_from_source
from pathlib import Path

from model import EPOCH, Member

from bundler.process import run

__all__ = ["compiled"]

# A list on the command line would outgrow it; the relative path is what tracebacks show until the import system
# puts the real one there. A file that does not compile (some templates do not) is left without.
_COMPILE = """\
import py_compile, sys
for path in open(sys.argv[1], encoding="utf-8").read().splitlines():
    try:
        py_compile.compile(path, dfile=path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    except (py_compile.PyCompileError, ValueError):
        pass
"""


def compiled(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """The ``.pyc`` of every module among ``members``.

    A module that carries the placeholder gets none: the installer changes its size, and its constants would keep
    the placeholder. One new process for a package, with a fixed order and hash seed: what the compiler shares
    between constants depends on all that its process did before.
    """
    sources = sorted(m.path for m in members if m.path.endswith(".py") and not m.placeholder and not m.target)
    contents = {member.path: member.content for member in members}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "tree")
        for source in sources:
            path = root / source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[source])
            os.utime(path, (EPOCH, EPOCH))
        listed = Path(scratch, "sources")
        listed.write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
        run([sys.executable, "-S", "-W", "ignore", "-c", _COMPILE, listed], env={"PYTHONHASHSEED": "0"}, cwd=root)
        found = ((cache_from_source(source), root / cache_from_source(source)) for source in sources)
        return tuple(Member(path=name, content=path.read_bytes()) for name, path in found if path.exists())

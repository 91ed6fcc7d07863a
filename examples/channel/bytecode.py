"""Timestamp ``.pyc`` files, as native conda packages ship them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from model import EPOCH, Member

from bundler.process import run

if TYPE_CHECKING:
    from interpreter import Interpreter

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


def compiled(members: tuple[Member, ...], interpreter: Interpreter) -> tuple[Member, ...]:
    """The ``.pyc`` of every module among ``members``, for ``interpreter``.

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
        words = [*interpreter.command, "-S", "-W", "ignore", "-c", _COMPILE, listed]
        run(words, env={"PYTHONHASHSEED": "0"}, cwd=root)
        names = (_pyc(PurePosixPath(source), interpreter.cache_tag) for source in sources)
        found = ((str(name), root / name) for name in names)
        return tuple(Member(path=name, content=path.read_bytes()) for name, path in found if path.exists())


def _pyc(source: PurePosixPath, cache_tag: str) -> PurePosixPath:
    """PEP 3147's place for it."""
    return source.parent / "__pycache__" / f"{source.stem}.{cache_tag}.pyc"

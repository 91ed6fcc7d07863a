"""Bytecode, so that a service never compiles at start: the release is read-only to it.

A timestamp ``.pyc`` (PEP 3147) records its source's mtime. The payload has one mtime for all files, so every one that
packages ship would be stale. Rewriting the 16-byte header to an unchecked hash (PEP 552, flags 1) makes them valid for
good; neither a compiler nor the environment's own Python is needed. Sources without bytecode are compiled by the
environment's Python, if this machine can run it, one process a package: what compileall writes depends on what the same
process compiled before.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError
from bundler.process import ToolFailed, run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

__all__ = ["PYC_HEADER", "Compiler", "source_of", "unchecked", "uncompiled"]

PYC_HEADER = 16
"""Bytes of a ``.pyc`` before its code: a magic number, flags, and what says whether it is still good (PEP 552)."""
_UNCHECKED = (1).to_bytes(4, "little")
_NOT_COMPILED = frozenset({"test", "tests", "testing_data", "lib2to3"})
"""Directories that no service imports; lib2to3 has files that are bad on purpose."""


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """The environment's own Python. ``tag`` is what its ``.pyc`` are called by, such as ``cpython-311``."""

    python: Path
    tag: str

    @classmethod
    def of(cls, prefix: Path) -> Compiler | None:
        """The Python of ``prefix``; None if there is none or this machine cannot run it."""
        python = prefix / "bin" / "python"
        try:
            tag = run([python, "-I", "-S", "-c", "import sys; print(sys.implementation.cache_tag)"]).stdout.strip()
        except (MissingToolError, ToolFailed, OSError):
            return None
        return cls(python=python, tag=tag)

    def compile(self, root: Path, sources: Iterable[str]) -> tuple[str, ...]:
        """Compile ``sources``, paths below ``root``, in place; the paths of what came out, sorted.

        A source that does not compile is left out, as compileall does: it may be for another Python.
        """
        wanted = {self._bytecode(source) for source in sources}
        with tempfile.TemporaryDirectory() as empty:  # the first place where `-m` looks for modules
            listed = Path(empty) / "sources"
            listed.write_bytes(b"".join(os.fsencode(f"{root}/{source}\n") for source in sorted(sources)))
            words: list[str | Path] = [
                self.python,
                "-S",
                "-s",
                "-B",
                "-m",
                "compileall",
                "-q",
                "-f",
                "-s",
                f"{root}/",
                "-i",
                listed,
            ]
            # The hash seed decides the order of sets in the output, up to Python 3.10.
            env = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
            run([*words, "--invalidation-mode", "unchecked-hash"], env=env, cwd=Path(empty), check=False)
        return tuple(sorted(path for path in wanted if (root / path).is_file()))

    def _bytecode(self, source: str) -> str:
        path = PurePosixPath(source)
        return f"{path.parent}/__pycache__/{path.stem}.{self.tag}.pyc"


def unchecked(header: bytes, module: str) -> bytes:
    """A ``.pyc``'s header as one with an unchecked hash if it has a timestamp, else as it is.

    The hash field is no more than a note here (nobody compares it); a part of the source's SHA-256, ``module``, serves,
    since importlib's own depends on the Python that computes it.
    """
    if len(header) < PYC_HEADER or any(header[4:8]):
        return header
    return header[:4] + _UNCHECKED + bytes.fromhex(module)[:8]


def source_of(bytecode: str) -> str:
    """The module that a ``__pycache__/name.cpython-311.pyc`` was compiled from."""
    directory, _, name = bytecode.rpartition("/__pycache__/")
    return f"{directory}/{name.split('.', 1)[0]}.py"


def uncompiled(paths: AbstractSet[str]) -> tuple[str, ...]:
    """The sources among ``paths`` that have no bytecode there, without what no service imports; sorted."""
    compiled = {source_of(path) for path in paths if path.endswith(".pyc")}
    return tuple(
        path
        for path in sorted(paths - compiled)
        if path.endswith(".py") and "\n" not in path and _NOT_COMPILED.isdisjoint(PurePosixPath(path).parts)
    )

"""Bytecode, so that a service never compiles at start: the release is read-only to it.

A timestamp ``.pyc`` (PEP 3147) records its source's mtime. The payload has one mtime for all files, so every one that
packages ship would be stale. Rewriting the 16-byte header to an unchecked hash (PEP 552, flags 1) makes them valid for
good; neither a compiler nor the environment's own Python is needed. Sources without bytecode are compiled by the
environment's Python (:mod:`bundler.pack.compiler`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["PYC_HEADER", "bytecode_of", "cache_tag", "source_of", "unchecked", "uncompiled"]

PYC_HEADER = 16
"""Bytes of a ``.pyc`` before its code: a magic number, flags, and what says whether it is still good (PEP 552)."""
_UNCHECKED = (1).to_bytes(4, "little")
_NOT_COMPILED = frozenset({"test", "tests", "testing_data", "lib2to3"})
"""Directories that no service imports; lib2to3 has files that are bad on purpose."""


def unchecked(header: bytes, module: str) -> bytes:
    """A ``.pyc``'s header as one with an unchecked hash if it has a timestamp, else as it is.

    The hash field is no more than a note here (nobody compares it); a part of the source's SHA-256, ``module``, serves,
    since importlib's own depends on the Python that computes it.
    """
    if len(header) < PYC_HEADER or any(header[4:8]):
        return header
    return header[:4] + _UNCHECKED + bytes.fromhex(module)[:8]


def cache_tag(version: str, build: str) -> str | None:
    """``sys.implementation.cache_tag`` of the Python in a conda package; None if the package does not tell."""
    release = "".join(version.split(".")[:2])
    if "graalpy" in build:
        return None
    return f"pypy{release}" if "pypy" in build else f"cpython-{release}"


def bytecode_of(source: str, tag: str) -> str:
    """Where the Python with this cache tag looks for a module's bytecode (PEP 3147)."""
    directory, slash, name = source.rpartition("/")
    return f"{directory}{slash}__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def source_of(bytecode: str) -> str | None:
    """The module that a ``__pycache__/NAME.TAG[.opt-LEVEL].pyc`` is compiled from, whichever Python's it is.

    NAME may have dots, a cache tag has none. None: no Python gives bytecode such a path.
    """
    name = _Bytecode.of(bytecode)
    return name.source if name is not None else None


@dataclass(frozen=True, kw_only=True)
class _Bytecode:
    """What a path in a ``__pycache__`` says. ``plain``: it is what Python looks for without ``-O``."""

    source: str
    plain: bool

    @classmethod
    def of(cls, path: str) -> _Bytecode | None:
        directory, _, file = path.rpartition("/")
        parent, below, cache = directory.rpartition("/")
        *name, tag = file.removesuffix(".pyc").split(".")
        plain = not (len(name) > 1 and tag.startswith("opt-") and tag.removeprefix("opt-").isalnum())
        if not plain:
            name.pop()
        if cache != "__pycache__" or not file.endswith(".pyc") or not any(name):
            return None
        return cls(source=f"{parent}{below}{'.'.join(name)}.py", plain=plain)


def uncompiled(paths: AbstractSet[str], tag: str | None = None) -> tuple[str, ...]:
    """The sources among ``paths`` whose bytecode is not there, without what no service imports; sorted.

    That is the bytecode for the Python with this cache tag, not optimised: others are no help to it. Where the tag is
    not known any Python's will do.
    """
    if tag is not None:
        compiled = {source for source in paths if source.endswith(".py") and bytecode_of(source, tag) in paths}
    else:
        found = (_Bytecode.of(path) for path in paths if path.endswith(".pyc"))
        compiled = {bytecode.source for bytecode in found if bytecode is not None and bytecode.plain}
    return tuple(path for path in sorted(paths - compiled) if path.endswith(".py") and _is_wanted(path, paths))


def _is_wanted(source: str, paths: AbstractSet[str]) -> bool:
    """compileall reads names as lines of UTF-8. It follows a ``__pycache__`` that is a link."""
    directory, slash, name = source.rpartition("/")
    listable = source.isascii() or not any("\udc80" <= character <= "\udcff" for character in source)
    return (
        name != ".py"
        and listable
        and "\n" not in source
        and "\r" not in source
        and f"{directory}{slash}__pycache__" not in paths
        and _NOT_COMPILED.isdisjoint(PurePosixPath(source).parts)
    )

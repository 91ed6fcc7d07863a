"""Bytecode, so that services do not compile modules at each start: they cannot write to the release.

A timestamp-based ``.pyc`` (PEP 3147) records its source's mtime. All files in the payload have the same mtime, so those
in packages would be out of date. Rewriting the 16-byte header to an unchecked hash (PEP 552, flags 1) makes them valid
permanently, without a compiler. Sources without bytecode are compiled by the environment's Python
(:mod:`bundler.pack.compiler`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["PYC_HEADER", "bytecode_of", "cache_tag", "source_of", "unchecked", "uncompiled"]

PYC_HEADER = 16
"""The size of a ``.pyc``'s header: a magic number, flags, and the timestamp or hash (PEP 552)."""
_UNCHECKED = (1).to_bytes(4, "little")
_NOT_COMPILED = frozenset({"test", "tests", "testing_data", "lib2to3"})
"""Directories that no service imports; lib2to3 contains invalid files on purpose."""


def unchecked(header: bytes, module: str) -> bytes:
    """Convert a ``.pyc``'s timestamp-based header to one with an unchecked hash; others are unchanged.

    The hash is never compared; it is a part of the source's SHA-256, ``module``, because importlib's own hash depends
    on the Python that computes it.
    """
    if len(header) < PYC_HEADER or any(header[4:8]):
        return header
    return header[:4] + _UNCHECKED + bytes.fromhex(module)[:8]


def cache_tag(version: str, build: str) -> str | None:
    """``sys.implementation.cache_tag`` of the Python in a conda package; None if it cannot be determined."""
    release = "".join(version.split(".")[:2])
    if "graalpy" in build:
        return None
    return f"pypy{release}" if "pypy" in build else f"cpython-{release}"


def bytecode_of(source: str, tag: str) -> str:
    """The path of a module's bytecode for the Python with this cache tag (PEP 3147)."""
    directory, slash, name = source.rpartition("/")
    return f"{directory}{slash}__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def source_of(bytecode: str) -> str | None:
    """The module from which a ``__pycache__/NAME.TAG[.opt-LEVEL].pyc`` is compiled, by any Python.

    NAME may contain dots, a cache tag does not. None: not a path of bytecode.
    """
    name = _Bytecode.of(bytecode)
    return name.source if name is not None else None


@dataclass(frozen=True, kw_only=True)
class _Bytecode:
    """The parsed path of a file in ``__pycache__``. ``plain``: the one that Python uses without ``-O``."""

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
    """The sources among ``paths`` without bytecode, except those that no service imports; sorted.

    This means unoptimized bytecode for the Python with this cache tag; if the tag is unknown, for any Python.
    """
    if tag is not None:
        compiled = {source for source in paths if source.endswith(".py") and bytecode_of(source, tag) in paths}
    else:
        found = (_Bytecode.of(path) for path in paths if path.endswith(".pyc"))
        compiled = {bytecode.source for bytecode in found if bytecode is not None and bytecode.plain}
    return tuple(path for path in sorted(paths - compiled) if path.endswith(".py") and _is_wanted(path, paths))


def _is_wanted(source: str, paths: AbstractSet[str]) -> bool:
    """Whether to compile the source: compileall reads names as UTF-8 lines, and follows a linked ``__pycache__``."""
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

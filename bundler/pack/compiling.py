"""Decide where the payload's bytecode is compiled: here, on the server, or nowhere."""

from __future__ import annotations

import functools
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from bundler.pack.bytecode import bytecode_of, cache_tag, uncompiled
from bundler.pack.compiler import Compiler, place_of
from bundler.pack.members import Member, parents
from bundler.scratch import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Self

    from bundler.pack.segments import Segment
    from bundler.prefix import Prefix

__all__ = ["BytecodeMode", "BytecodePlan", "work_list"]

BytecodeMode = Literal["build", "install", "none"]
_LIST = "share/bytecode"


def work_list(sources: Iterable[str]) -> tuple[Member, ...]:
    """The list of ``sources`` for the server to compile, if there are any."""
    listed = "".join(f"{source}\n" for source in sources).encode("utf-8", "surrogateescape")
    return (Member(path=_LIST, mode=0o644, content=listed),) if listed else ()


class BytecodePlan:
    """Compiles the modules that are in no cached segment, ahead of packing and in parallel.

    The bytecode is kept on disk until the end of the ``with`` block; for a large environment it would not fit into
    memory.
    ``mode`` is the effective mode: ``build`` becomes ``install`` if this machine cannot run the environment's Python,
    and any mode becomes ``none`` without a Python. Sources that contain the baked prefix are always compiled on the
    server, since bytecode stores the length of strings, so relocation cannot change them.
    """

    def __init__(self, prefix: Prefix, wanted: BytecodeMode, *, jobs: int | None) -> None:
        compiler = Compiler.of(prefix) if wanted == "build" else ""
        self._compiler = compiler if isinstance(compiler, Compiler) else None
        self.mode: BytecodeMode = wanted
        self.note = ""
        """A note, if the effective mode differs from the requested one."""
        if not (prefix.path / "bin" / "python").exists():
            self.mode = "none"
        elif isinstance(compiler, str) and wanted == "build":
            self.mode = "install"
            self.note = (
                f"bytecode is compiled on the server, because the environment's Python cannot run here: {compiler}"
            )
        self.recipe = self._compiler.recipe if self._compiler and self.mode == "build" else ""
        pythons = [archive.package for archive in prefix.archives if archive.package.key == "python"]
        tags = [cache_tag(python.version, python.build) for python in pythons]
        self._tag = self._compiler.tag if self._compiler else next(iter(tags), None)
        # Beside the prefix, not in it: its files are linked into the package cache, and its directories are being read.
        self._room = Path(tempfile.mkdtemp(prefix="bytecode-", dir=prefix.path.parent))
        self._workers = jobs or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(max_workers=self._workers)
        self._begun: dict[tuple[str, ...], tuple[Future[tuple[tuple[Member, ...], ...]], int]] = {}
        """By a package's sources: the batch in which it is compiled, and its index there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        remove_tree(self._room)

    def on_target(self, members: Iterable[Member]) -> tuple[str, ...]:
        """The modules that the server has to compile."""
        if self.mode == "none":
            return ()
        everything = tuple(members)
        sources = self._sources(everything)
        if self.mode == "build":
            baked = {member.path for member in everything if member.package is None and member.path.startswith("env/")}
            sources = tuple(source for source in sources if source in baked)
        return sources

    def more(self, members: tuple[Member, ...]) -> Callable[[], tuple[Member, ...]] | None:
        """What makes the bytecode of ``members``, which are one package's or the user's own; None if there is none."""
        sources = self._sources(members) if self.mode == "build" else ()
        return functools.partial(self._result, members, sources) if sources else None

    def directories(self, members: Iterable[Member]) -> tuple[Member, ...]:
        """The paths of the bytecode."""
        sources = self._sources(members) if self.mode == "build" else ()
        return tuple(parents([bytecode_of(source, "tag") for source in sources]))

    def begin(self, segments: Iterable[Segment]) -> None:
        """Start compiling for segments that are not cached."""
        wanted = [(one.members, self._sources(one.members)) for one in segments if one.more is not None]
        total = sum(len(sources) for _, sources in wanted)
        batch: list[_Wanted] = []
        for number, one in enumerate(wanted, 1):
            batch.append(one)
            # About four batches per worker, so that packing need not wait; small ones are not worth a sandbox.
            if number == len(wanted) or sum(len(sources) for _, sources in batch) >= max(
                200, total / self._workers / 4
            ):
                future = self._pool.submit(self._compile, tuple(batch))
                self._begun |= {sources: (future, place) for place, (_, sources) in enumerate(batch)}
                batch = []

    def _result(self, members: tuple[Member, ...], sources: tuple[str, ...]) -> tuple[Member, ...]:
        begun = self._begun.pop(sources, None)
        if begun is None:
            return self._compile(((members, sources),))[0]
        future, place = begun
        return future.result()[place]

    def _compile(self, batch: Sequence[_Wanted]) -> tuple[tuple[Member, ...], ...]:
        assert self._compiler is not None
        room = Path(tempfile.mkdtemp(dir=self._room))
        for number, (members, sources) in enumerate(batch):
            _write(members, sources, place_of(number, room))
        made = self._compiler.compile([sources for _, sources in batch], room)
        remove_tree(place_of(0, room).parent)
        return tuple(_members(files, one) for files, one in zip(made, batch, strict=True))

    def _sources(self, members: Iterable[Member]) -> tuple[str, ...]:
        """Whether a file needs bytecode: modules below the environment's ``lib/pythonX.Y``, and the user's own."""
        links = {member.path: member.link is not None for member in members if not member.is_directory}
        return tuple(
            path
            for path in uncompiled(links.keys(), self._tag)
            if not links[path] and path.startswith(("env/lib/python", "app/"))
        )


_Wanted: TypeAlias = "tuple[tuple[Member, ...], tuple[str, ...]]"
"""A package's members, and the paths of those that need bytecode."""


def _write(members: Iterable[Member], sources: Iterable[str], root: Path) -> None:
    """Write the sources so that other users can read them, whatever our umask."""
    by_path = {member.path: member for member in members}
    for source in sources:
        path = root / source
        missing = [parent for parent in path.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            parent.chmod(0o755)
        path.write_bytes(by_path[source].read())
        path.chmod(0o644)


def _members(files: Iterable[tuple[str, Path]], wanted: _Wanted) -> tuple[Member, ...]:
    members, sources = wanted
    package = next(member.package for member in members if member.path == sources[0])
    return tuple(
        Member(path=path, mode=0o644, source=str(file), size=file.stat().st_size, package=package)
        for path, file in files
    )

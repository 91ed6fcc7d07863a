"""Where and when the payload's bytecode is made: here, on the target, or nowhere."""

from __future__ import annotations

import functools
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bundler.pack.bytecode import Compiler, bytecode_of, cache_tag, uncompiled
from bundler.pack.members import Member, parents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from bundler.pack.segments import Segment
    from bundler.prefix import Prefix

__all__ = ["BytecodeMode", "BytecodePlan", "work_list"]

BytecodeMode = Literal["build", "install", "none"]
_LIST = "share/bytecode"


def work_list(sources: Iterable[str]) -> tuple[Member, ...]:
    """What tells the target to compile ``sources``, if there are any."""
    listed = "".join(f"{source}\n" for source in sources).encode("utf-8", "surrogateescape")
    return (Member(path=_LIST, mode=0o644, content=listed),) if listed else ()


class BytecodePlan:
    """Compiles ahead of the packing, in parallel, what no kept segment has.

    What is made waits on disk for its turn, until the end of the ``with`` block: of a large environment it would take
    more memory than all else.
    ``mode`` is what is really done: ``build`` becomes ``install`` if this machine cannot run the environment's Python,
    and anything becomes ``none`` without a Python. Sources that carry the baked prefix are compiled on the target in
    any case: bytecode has strings with their lengths, which no relocation can change.
    """

    def __init__(self, prefix: Prefix, wanted: BytecodeMode, *, jobs: int | None) -> None:
        # Not of prefix.path: link scripts, which run in a cage, may have put something else there.
        self._compiler = Compiler.of(prefix.linked) if wanted == "build" else None
        self.mode: BytecodeMode = wanted
        if not (prefix.path / "bin" / "python").exists():
            self.mode = "none"
        elif wanted == "build" and self._compiler is None:
            self.mode = "install"
        pythons = [archive.package for archive in prefix.archives if archive.package.key == "python"]
        self.recipe = f"bytecode of {[python.sha256 for python in pythons]}" if self.mode == "build" else ""
        tags = [cache_tag(python.version, python.build) for python in pythons]
        self._tag = self._compiler.tag if self._compiler else next(iter(tags), None)
        # Beside the prefix, not in it: its files are linked into the package cache, and its directories are being read.
        self._room = tempfile.TemporaryDirectory(prefix="bytecode-", dir=prefix.path.parent)
        self._pool = ThreadPoolExecutor(max_workers=jobs or os.cpu_count())
        self._begun: dict[tuple[str, ...], Future[tuple[Member, ...]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._room.cleanup()

    def on_target(self, members: Iterable[Member]) -> tuple[str, ...]:
        """The modules that the target has to compile."""
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
        """Where the bytecode will lie."""
        sources = self._sources(members) if self.mode == "build" else ()
        return tuple(parents([bytecode_of(source, "tag") for source in sources]))

    def begin(self, segments: Iterable[Segment]) -> None:
        """Begin to compile for segments that will have to be made."""
        for segment in segments:
            if segment.more is not None:
                sources = self._sources(segment.members)
                self._begun[sources] = self._pool.submit(self._compile, segment.members, sources)

    def _result(self, members: tuple[Member, ...], sources: tuple[str, ...]) -> tuple[Member, ...]:
        begun = self._begun.pop(sources, None)
        return begun.result() if begun else self._compile(members, sources)

    def _compile(self, members: tuple[Member, ...], sources: tuple[str, ...]) -> tuple[Member, ...]:
        assert self._compiler is not None
        by_path = {member.path: member for member in members}
        package = by_path[sources[0]].package
        root = Path(tempfile.mkdtemp(dir=self._room.name))
        for source in sources:
            (root / source).parent.mkdir(parents=True, exist_ok=True)
            (root / source).write_bytes(by_path[source].read())
        made = self._compiler.compile(root, sources)
        for source in sources:
            (root / source).unlink()
        files = ((path, root / path) for path in made)
        return tuple(
            Member(path=path, mode=0o644, source=str(file), size=file.stat().st_size, package=package)
            for path, file in files
        )

    def _sources(self, members: Iterable[Member]) -> tuple[str, ...]:
        """What wants bytecode: modules below the environment's ``lib/pythonX.Y`` and the user's own."""
        links = {member.path: member.link is not None for member in members if not member.is_directory}
        return tuple(
            path
            for path in uncompiled(links.keys(), self._tag)
            if not links[path] and path.startswith(("env/lib/python", "app/"))
        )

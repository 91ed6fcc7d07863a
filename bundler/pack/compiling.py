"""Where and when the payload's bytecode is made: here, on the target, or nowhere."""

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
        compiler = Compiler.of(prefix) if wanted == "build" else ""
        self._compiler = compiler if isinstance(compiler, Compiler) else None
        self.mode: BytecodeMode = wanted
        self.note = ""
        """What there is to say if it is not what was wanted."""
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
        """By a package's sources: the batch that it is compiled in, and its place there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        remove_tree(self._room)

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
        wanted = [(one.members, self._sources(one.members)) for one in segments if one.more is not None]
        total = sum(len(sources) for _, sources in wanted)
        batch: list[_Wanted] = []
        for number, one in enumerate(wanted, 1):
            batch.append(one)
            # About four batches a worker, so that packing need not wait; small ones are not worth a cage.
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
        """What wants bytecode: modules below the environment's ``lib/pythonX.Y`` and the user's own."""
        links = {member.path: member.link is not None for member in members if not member.is_directory}
        return tuple(
            path
            for path in uncompiled(links.keys(), self._tag)
            if not links[path] and path.startswith(("env/lib/python", "app/"))
        )


_Wanted: TypeAlias = "tuple[tuple[Member, ...], tuple[str, ...]]"
"""One package's members, and those of their paths that want bytecode."""


def _write(members: Iterable[Member], sources: Iterable[str], root: Path) -> None:
    """Write the sources where another user can read them, whatever our umask."""
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

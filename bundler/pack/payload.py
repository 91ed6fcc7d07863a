"""Prefix and the user's own files -> the payload: an archive with the environment, and one with the rest."""

from __future__ import annotations

import contextlib
import mmap
import os
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, BinaryIO

from bundler.errors import PackError
from bundler.pack.app import refuse_dangling
from bundler.pack.archive import write_archive
from bundler.pack.collect import EVERYTHING, Filters, Note, collect, find_notes
from bundler.pack.compiling import BytecodeMode, BytecodePlan, work_list
from bundler.pack.frozen import frozen_marker
from bundler.pack.layers import APP, ENVIRONMENT
from bundler.pack.layout import lay_out, lay_out_app
from bundler.pack.listing import unpacked_sha256
from bundler.pack.members import (
    Declared,
    Member,
    TreeEntry,
    digest_list,
    tree_digest,
)
from bundler.pack.plain import check_written
from bundler.pack.relocation import Found, find, longest, table
from bundler.pack.segments import Segment, SegmentCache
from bundler.printable import counted
from bundler.resources import cache_dir, templates_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bundler.linkscripts.run import Effects
    from bundler.pack.archive import WrittenArchive
    from bundler.pack.codecs import Codec
    from bundler.pack.layers import Layer
    from bundler.prefix import Prefix
    from bundler.progress import Progress
    from bundler.sharing.shared import Shared

__all__ = ["PackOptions", "Payload", "WrittenLayer", "make_payload"]

_WHOSE = {ENVIRONMENT.name: "the environment", APP.name: "the app"}


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """How the payload is written; nothing here but ``filters`` and ``bundle`` changes what is in it."""

    codec: Codec
    bytecode: BytecodeMode = "build"
    filters: Filters = EVERYTHING
    bundle: str = ""
    """Its name, for the marker that its environment is frozen; without it there is none."""
    cache_limit: int = 4 << 30
    """Bytes that kept segments may take."""
    jobs: int | None = None


@dataclass(frozen=True, kw_only=True)
class WrittenLayer:
    """A payload as it was written at ``path``. Sizes are bytes.

    ``longest`` is the longest path that the environment can be relocated to; None if there is no limit. ``to_compile``
    are the modules that the target makes bytecode of, ``unpacked_sha256`` is what install.sh compares the unpacked tree
    with.
    """

    layer: Layer
    path: Path
    codec: str
    archive: WrittenArchive
    longest: int | None
    to_compile: frozenset[str]
    unpacked_sha256: str

    @property
    def tree(self) -> tuple[TreeEntry, ...]:
        return self.archive.tree

    @property
    def unpacked_size(self) -> int:
        return sum(entry.size for entry in self.tree)

    @property
    def installed_files(self) -> int:
        """How many files and links it becomes, bytecode made on the target included."""
        return len(self.tree) + len(self.to_compile)

    @property
    def installed_kib(self) -> int:
        """What a filesystem with 4 KiB blocks needs for it; a module's bytecode takes about what the module does."""
        return sum(-(-entry.size // 4096) * 4 * (2 if entry.path in self.to_compile else 1) for entry in self.tree)

    @property
    def tree_digest(self) -> str:
        """What it will be, wherever it is unpacked."""
        return tree_digest(self.tree)


@dataclass(frozen=True, kw_only=True)
class Payload:
    """Both layers, written."""

    environment: WrittenLayer
    app: WrittenLayer
    bytecode: BytecodeMode
    notes: tuple[Note, ...]
    shared: tuple[Shared, ...]
    """Files of the environment that several packages have."""
    effects: tuple[Effects, ...]
    """What packages' link scripts have done."""

    @property
    def layers(self) -> tuple[WrittenLayer, ...]:
        return self.environment, self.app

    @property
    def tree(self) -> tuple[TreeEntry, ...]:
        """All files and links, by their path below the release."""
        return tuple(entry for layer in self.layers for entry in layer.tree)

    @property
    def unpacked_size(self) -> int:
        return sum(layer.unpacked_size for layer in self.layers)

    @property
    def tree_digest(self) -> str:
        """What the release will be, wherever it is unpacked."""
        return tree_digest(self.tree)

    def executables(self) -> frozenset[str]:
        """The paths below the release that can be run, links included."""
        return frozenset(entry.path for entry in self.tree if entry.mode & 0o111)


def make_payload(
    prefix: Prefix, app: tuple[Member, ...], room: Path, options: PackOptions, progress: Progress
) -> Payload:
    """Write ``environment.tar.…`` and ``app.tar.…`` into ``room``.

    Raises :class:`PackError` if a member is refused, what was written is no plain tree, or the disk is full.
    """
    collected = collect(prefix, options.filters)
    frozen = frozen_marker(options.bundle, collected, options.filters) if options.bundle else ()
    members = (*collected, *frozen)
    refuse_dangling(app, (*members, *app))
    with BytecodePlan(prefix, options.bytecode, jobs=options.jobs) as bytecode:
        if bytecode.note:
            progress.step(f"note: {bytecode.note}")
        writer = _Writer(room=room, options=options, baked=prefix.baked, bytecode=bytecode, progress=progress)
        environment = writer.write(members, ENVIRONMENT, lambda every: lay_out(every, prefix, bytecode))
        own = writer.write((*app, *_share()), APP, lambda every: lay_out_app(every, bytecode))
        writer.cache.prune()
    packed = {entry.path for entry in environment.tree}
    notes = (*find_notes(prefix), *_rigid(members, prefix))
    for note in notes:
        progress.step(f"note: {note}")
    return Payload(
        environment=environment,
        app=own,
        bytecode=bytecode.mode,
        notes=notes,
        shared=tuple(one for one in prefix.shared if f"env/{one.path}" in packed),
        effects=prefix.effects,
    )


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """Writes layers of a release whose environment has the path ``baked``."""

    room: Path
    options: PackOptions
    baked: str
    bytecode: BytecodePlan
    progress: Progress

    @cached_property
    def cache(self) -> SegmentCache:
        return SegmentCache(cache_dir("segments"), self.options.codec, limit=self.options.cache_limit)

    def write(
        self,
        members: tuple[Member, ...],
        layer: Layer,
        lay_out: Callable[[tuple[Member, ...]], tuple[Segment, ...]],
    ) -> WrittenLayer:
        """Write a layer: ``members``, and what the target is told of them."""
        found = _carriers(members, self.baked)
        to_compile = self.bytecode.on_target(members)
        table = _table(found, self.baked, layer)
        segments = lay_out((*members, *table, *work_list(to_compile, layer)))
        self.bytecode.begin(segment for segment in segments if not self.cache.has(segment))
        goal = self.room / f"{layer.name}{self.options.codec.suffix}"
        written = self._archive(segments, layer, goal, counted(len(members), "file"))
        check_written(segments, written, layer)
        return WrittenLayer(
            layer=layer,
            path=goal,
            codec=self.options.codec.name,
            archive=written,
            longest=longest(found),
            to_compile=frozenset(to_compile),
            unpacked_sha256=unpacked_sha256(written.tree, _directories(segments), layer),
        )

    def _archive(self, segments: tuple[Segment, ...], layer: Layer, goal: Path, files: str) -> WrittenArchive:
        codec, jobs = self.options.codec, self.options.jobs
        closing = partial(_listing, layer=layer)
        with self.progress.task(f"Packing {files} of {_WHOSE[layer.name]}", len(segments)) as advance:
            try:
                with goal.open("wb") as file:
                    told = _told(segments, advance)
                    return write_archive(told, file, codec, self.cache, closing=closing, jobs=jobs)
            except OSError as error:
                raise PackError(f"cannot be written: {error.strerror or error}", where=str(goal)) from error


def _carriers(members: Iterable[Member], baked: str) -> tuple[Found, ...]:
    """Which members carry the environment's path, and where. Only those that no package decides alone can."""
    found = []
    for member in members:
        if member.package is None and not member.is_directory and member.link is None:
            said = member.declared or Declared(sha256=(), copies=())
            with member.open() as file, _mapped(file) as content:
                found.append(find(member.path, content, baked, mode=said.mode, placeholder=said.placeholder))
    return tuple(entry for entry in found if entry is not None)


def _rigid(members: Iterable[Member], prefix: Prefix) -> Iterator[Note]:
    """Binary files in which link scripts have put the environment's path: nobody says how to rewrite it there."""
    written = {f"env/{path}": done.package for done in prefix.effects for path in (*done.added, *done.changed)}
    for member in members:
        if member.path in written and member.source is not None:
            with member.open() as file, _mapped(file) as content:
                if content.find(prefix.baked.encode()) >= 0 and content.find(b"\0") >= 0:
                    yield Note(kind="baked", package=written[member.path], path=member.path.removeprefix("env/"))


@contextlib.contextmanager
def _mapped(file: BinaryIO) -> Iterator[bytes | mmap.mmap]:
    """The file's bytes, without holding a large file in memory."""
    try:
        number = file.fileno()
    except OSError:  # not a file of the filesystem
        yield file.read()
        return
    if os.fstat(number).st_size == 0:  # cannot be mapped
        yield b""
        return
    with mmap.mmap(number, 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _table(found: tuple[Found, ...], baked: str, layer: Layer) -> tuple[Member, ...]:
    files = table(baked, found, layer)
    return tuple(Member(path=path, mode=0o644, content=content) for path, content in files.items())


def _listing(tree: tuple[TreeEntry, ...], *, layer: Layer) -> Segment:
    """Every file's digest, so that the target need not read them all again."""
    return Segment(
        name="list", members=(Member(path=layer.digests, mode=0o644, content=digest_list(tree, layer)),), last=True
    )


def _told(segments: Iterable[Segment], advance: Callable[[int], None]) -> Iterator[Segment]:
    for segment in segments:
        yield segment
        advance(1)


def _directories(segments: Iterable[Segment]) -> Iterator[str]:
    return (member.path for segment in segments for member in segment.members if member.is_directory)


def _share() -> list[Member]:
    """What the target needs beside the environment, each a script: see its head."""
    return [
        Member(path=f"share/{name}", mode=0o755, content=(templates_dir() / "share" / f"{name}.sh").read_bytes())
        for name in ("beam", "gpu", "probe", "watch")
    ]

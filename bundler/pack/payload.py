"""Prefix and the user's own files -> the payload: ``env/``, ``app/`` and ``share/`` in one archive."""

from __future__ import annotations

import contextlib
import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from bundler.errors import PackError
from bundler.pack.app import refuse_dangling
from bundler.pack.archive import WrittenArchive, write_archive
from bundler.pack.collect import EVERYTHING, Filters, Note, collect, find_notes
from bundler.pack.compiling import BytecodeMode, BytecodePlan, work_list
from bundler.pack.contents import NEVER_LINKED, Content, contents_of, lists
from bundler.pack.frozen import frozen_marker
from bundler.pack.layout import lay_out
from bundler.pack.listing import unpacked_sha256
from bundler.pack.members import Declared, Member, TreeEntry, tree_digest
from bundler.pack.plain import check_written
from bundler.pack.relocation import Found, find, longest, table
from bundler.pack.segments import Segment, SegmentCache
from bundler.printable import counted
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bundler.linkscripts.run import Effects
    from bundler.pack.codecs import Codec
    from bundler.prefix import Prefix
    from bundler.progress import Progress
    from bundler.sharing.shared import Shared

__all__ = ["PackOptions", "Payload", "make_payload"]


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """How the payload is written; nothing here but ``filters``, ``bundle`` and ``programs`` changes what is in it."""

    codec: Codec
    bytecode: BytecodeMode = "build"
    filters: Filters = EVERYTHING
    bundle: str = ""
    """Its name, for the marker that its environment is frozen; without it there is none."""
    programs: tuple[tuple[str, bytes], ...] = ()
    """What the target needs beside the environment, each a script below ``share/``."""
    cache_limit: int = 4 << 30
    """Bytes that kept segments may take."""
    jobs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The written payload. ``tree`` is what it holds, as written; sizes are bytes."""

    path: Path
    codec: str
    bytecode: BytecodeMode
    notes: tuple[Note, ...]
    shared: tuple[Shared, ...]
    """Files of the environment that several packages have."""
    effects: tuple[Effects, ...]
    """What packages' link scripts have done."""
    longest: int | None
    """The longest path, in bytes, that the release can be relocated to; None if there is no limit."""
    to_compile: frozenset[str]
    """The modules that the target makes bytecode of."""
    archive: WrittenArchive
    contents: tuple[Content, ...]
    """What its segments unpack to, in their order."""
    unpacked_sha256: str
    """What install.sh compares the unpacked tree with."""

    @property
    def sha256(self) -> str:
        return self.archive.sha256

    @property
    def size(self) -> int:
        return self.archive.size

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
        """What the release will be, wherever it is unpacked."""
        return tree_digest(self.tree)

    def executables(self) -> frozenset[str]:
        """The paths below the release that can be run, links included."""
        return frozenset(entry.path for entry in self.tree if entry.mode & 0o111)


def make_payload(
    prefix: Prefix, app: tuple[Member, ...], room: Path, options: PackOptions, progress: Progress
) -> Payload:
    """Write ``payload.tar.…`` into ``room``.

    Raises :class:`PackError` if a member is refused, what was written is no plain tree, or the disk is full.
    """
    collected = collect(prefix, options.filters)
    frozen = frozen_marker(options.bundle, collected, options.filters) if options.bundle else ()
    members = (*collected, *frozen, *app, *_share(options.programs))
    refuse_dangling(app, members)
    goal = room / f"payload{options.codec.suffix}"
    cache = SegmentCache(cache_dir("segments"), options.codec, limit=options.cache_limit)
    with BytecodePlan(prefix, options.bytecode, jobs=options.jobs) as bytecode:
        found = _carriers(members, prefix)
        to_compile = bytecode.on_target(members)
        members += (*_table(found, prefix), *work_list(to_compile))
        if bytecode.note:
            progress.step(f"note: {bytecode.note}")
        segments = lay_out(members, prefix, bytecode)
        contents: list[Content] = []

        def closing(held: tuple[tuple[TreeEntry, ...], ...]) -> Segment:
            contents.extend(contents_of(segments, held, carriers={entry.path for entry in found}))
            return _listing(contents)

        bytecode.begin(segment for segment in segments if not cache.has(segment))
        with progress.task(f"Packing {counted(len(members), 'file')}", len(segments)) as advance:
            try:
                with goal.open("wb") as file:
                    told = _told(segments, advance)
                    written = write_archive(told, file, options.codec, cache, closing=closing, jobs=options.jobs)
            except OSError as error:
                raise PackError(f"cannot be written: {error.strerror or error}", where=str(goal)) from error
    check_written(segments, written, contents)
    cache.prune()
    packed = {entry.path for entry in written.tree}
    notes = (*find_notes(prefix), *_rigid(members, prefix))
    for note in notes:
        progress.step(f"note: {note}")
    return Payload(
        path=goal,
        codec=options.codec.name,
        bytecode=bytecode.mode,
        notes=notes,
        shared=tuple(one for one in prefix.shared if f"env/{one.path}" in packed),
        effects=prefix.effects,
        longest=longest(found),
        to_compile=frozenset(to_compile),
        archive=written,
        contents=(*contents, Content.of(written.segments[-1].name, written.held[-1], id=NEVER_LINKED)),
        unpacked_sha256=unpacked_sha256(written.tree, _directories(segments)),
    )


def _carriers(members: Iterable[Member], prefix: Prefix) -> tuple[Found, ...]:
    """Which members carry the release's path, and where. Only those that no package decides alone can."""
    found = []
    for member in members:
        if member.package is None and not member.is_directory and member.link is None:
            said = member.declared or Declared(sha256=(), copies=())
            with member.open() as file, _mapped(file) as content:
                found.append(
                    find(member.path, content, prefix.release_dir, mode=said.mode, placeholder=said.placeholder)
                )
    return tuple(entry for entry in found if entry is not None)


def _rigid(members: Iterable[Member], prefix: Prefix) -> Iterator[Note]:
    """Binary files in which link scripts have put the release's path: nobody says how it could be rewritten there."""
    written = {f"env/{path}": done.package for done in prefix.effects for path in (*done.added, *done.changed)}
    for member in members:
        if member.path in written and member.source is not None:
            with member.open() as file, _mapped(file) as content:
                if content.find(prefix.release_dir.encode()) >= 0 and content.find(b"\0") >= 0:
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


def _table(found: tuple[Found, ...], prefix: Prefix) -> tuple[Member, ...]:
    files = table(prefix.release_dir, found)
    return tuple(Member(path=path, mode=0o644, content=content) for path, content in files.items())


def _listing(contents: Iterable[Content]) -> Segment:
    """What the target need not find out by reading all files again: their digests, and which it may have already."""
    files = lists(contents)
    return Segment(
        name="list",
        members=tuple(Member(path=path, mode=0o644, content=content) for path, content in files.items()),
        last=True,
    )


def _told(segments: Iterable[Segment], advance: Callable[[int], None]) -> Iterator[Segment]:
    for segment in segments:
        yield segment
        advance(1)


def _directories(segments: Iterable[Segment]) -> Iterator[str]:
    return (member.path for segment in segments for member in segment.members if member.is_directory)


def _share(programs: Iterable[tuple[str, bytes]]) -> list[Member]:
    return [Member(path=f"share/{name}", mode=0o755, content=content) for name, content in programs]

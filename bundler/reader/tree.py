"""A payload's segments -> the tree that they make on the target, refused where it is not a plain one.

What is plain says :mod:`bundler.pack.plain`. Each segment is read as a tar of its own, as a target reads each part: no
member goes on in the next one. And each header has to be what conda-bundler writes for that member, byte for byte: what
several tars read each in its own way is in none of these. Nothing is written to disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from bundler.bundle.index import COPY_AGAIN
from bundler.errors import VerificationError
from bundler.pack.members import LINK_MODE, TreeEntry
from bundler.pack.plain import NotPlain, PlainTree
from bundler.printable import printable
from bundler.reader.frames import unpacked
from bundler.tar.read import TarDamage, TarStream
from bundler.tar.write import DIRECTORY, END, LINK, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.reader.open import OpenBundle
    from bundler.tar.read import TarMember

__all__ = ["Tree", "app_tree", "read_tree"]

_BUILT_WRONG = "The bundle was built incorrectly: do not install it."


class Tree:
    """The files and links of a payload as they are read, sorted at the end; ``held`` are those of each segment."""

    def __init__(self, bundle: OpenBundle, *, part: bool = False) -> None:
        self._payload = bundle.manifest.payload
        self._where = f"{bundle.path}: {self._payload.path}"
        self._plain = PlainTree(part=part)
        self._entries: dict[str, TreeEntry] = {}
        self._room = self._payload.unpacked_size
        self._mtime: int | None = None
        self.held: list[tuple[TreeEntry, ...]] = []

    @property
    def entries(self) -> tuple[TreeEntry, ...]:
        """All files and links, sorted by path."""
        return tuple(self._entries[path] for path in sorted(self._entries))

    @property
    def directories(self) -> tuple[str, ...]:
        """All directories, sorted."""
        return self._plain.directories

    def fill(self, source: BinaryIO, *, last: bool = False) -> None:
        """Read the compressed bytes of a segment; the ``last`` one ends the tar. Raises :class:`VerificationError`."""
        before = len(self._entries)
        with self._translated(), unpacked(self._payload.codec, source) as plain:
            stream, end = TarStream(plain, part=not last), 0
            for member in stream:
                self._add(member, stream)
                end = stream.offset + len(tar_padding(member.size))
            if last and stream.offset != end + len(END):
                raise TarDamage("there is data after its end")
        self.held.append(tuple(itertools.islice(self._entries.values(), before, None)))

    def _add(self, member: TarMember, stream: TarStream) -> None:
        if member.kind == DIRECTORY:
            self._plain.add_directory(member.path, member.mode)
        else:
            self._entries[member.path] = self._entry(member, stream)
        self._mtime = member.mtime if self._mtime is None else self._mtime
        if not member.is_as_written(LINK_MODE if member.kind == LINK else member.mode, self._mtime):
            raise TarDamage(f"the header of {member.path} differs from what conda-bundler writes")

    def _entry(self, member: TarMember, stream: TarStream) -> TreeEntry:
        if member.kind == LINK:
            self._plain.add_link(member.path, member.link)
            return TreeEntry(path=member.path, mode=LINK_MODE, digest=member.link, size=0)
        self._plain.add_file(member.path, member.mode)
        self._room -= member.size
        if self._room < 0:
            self._refuse("contains more bytes than the manifest says", COPY_AGAIN)
        digest = hashlib.sha256()
        for chunk in stream.content():
            digest.update(chunk)
        return TreeEntry(path=member.path, mode=member.mode, digest=digest.hexdigest(), size=member.size)

    def _refuse(self, sentence: str, remedy: str = _BUILT_WRONG) -> NoReturn:
        raise VerificationError(printable(sentence), where=self._where, remedy=remedy)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except NotPlain as error:
            raise VerificationError(error.message, where=self._where, remedy=_BUILT_WRONG) from error
        except TarDamage as error:
            raise VerificationError(f"cannot be unpacked: {error}", where=self._where, remedy=_BUILT_WRONG) from error
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise VerificationError(f"cannot be unpacked: {error}", where=self._where, remedy=COPY_AGAIN) from error


def read_tree(bundle: OpenBundle) -> Tree:
    """The tree of a bundle's whole payload, whose segments are all of it, one behind the other."""
    tree = Tree(bundle)
    segments = bundle.manifest.payload.segments
    for number, segment in enumerate(segments, 1):
        with bundle.payload.open(segment.offset, segment.length) as source:
            tree.fill(source, last=number == len(segments))
    return tree


def app_tree(bundle: OpenBundle) -> tuple[TreeEntry, ...]:
    """The user's own files: no more of the payload is read than their segment, whose digest is compared."""
    segment = bundle.manifest.app_segment()
    if segment is None or segment.length == 0:
        return ()
    if bundle.payload.sha256(segment.offset, segment.length) != segment.sha256:
        where = f"{bundle.path}: {bundle.manifest.payload.path}"
        raise VerificationError("app/ does not match its checksum", where=where, remedy=COPY_AGAIN)
    tree = Tree(bundle, part=True)
    with bundle.payload.open(segment.offset, segment.length) as source:
        tree.fill(source)
    return tree.entries

"""A payload's stream -> the tree that it makes on the target, refused where it is not a plain one.

Design section 5, "Plain trees only". Nothing is written to disk.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

from bundler.bundle.index import COPY_AGAIN
from bundler.bundle.ustar import TarDamage, TarStream
from bundler.errors import PackError, VerificationError
from bundler.pack.members import DIGESTS, LINK_MODE, TreeEntry, link_member
from bundler.pack.tar import DIRECTORY, LINK
from bundler.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.bundle.read import OpenBundle
    from bundler.bundle.ustar import TarMember

__all__ = ["Tree", "app_tree", "read_tree"]

_TOPS = ("env", "app", "share")
_MODES = (0o644, 0o755)
_BUILT_WRONG = "This bundle was not built as it should be: do not install it."


class Tree:
    """The files and links of a payload as they are read, sorted at the end; ``digests`` is that file's content."""

    def __init__(self, bundle: OpenBundle, *, part: bool = False) -> None:
        self._payload = bundle.manifest.payload
        self._where = f"{bundle.path}: {self._payload.path}"
        self._part = part
        self._directories: set[str] = set()
        self._entries: dict[str, TreeEntry] = {}
        self._room = self._payload.unpacked_size
        self.digests: bytes | None = None

    @property
    def entries(self) -> tuple[TreeEntry, ...]:
        """All files and links, sorted by path."""
        return tuple(self._entries[path] for path in sorted(self._entries))

    def fill(self, source: BinaryIO) -> None:
        """Read the compressed bytes of a payload, or of a part of it. Raises :class:`VerificationError`."""
        with self._translated(), _decompressed(self._payload.codec, source) as plain:
            stream = TarStream(plain, part=self._part)
            for member in stream:
                self._check_place(member)
                if member.kind == DIRECTORY:
                    self._directories.add(member.path)
                else:
                    self._entries[member.path] = self._entry(member, stream)

    def _entry(self, member: TarMember, stream: TarStream) -> TreeEntry:
        if member.kind == LINK:
            self._check_link(member)
            return TreeEntry(path=member.path, mode=LINK_MODE, digest=member.link, size=0)
        self._room -= member.size
        if self._room < 0:
            self._refuse("holds more bytes than its manifest says", COPY_AGAIN)
        digest, kept = hashlib.sha256(), []
        for chunk in stream.content():
            digest.update(chunk)
            if member.path == DIGESTS:
                kept.append(chunk)
        if member.path == DIGESTS:
            self.digests = b"".join(kept)
        return TreeEntry(path=member.path, mode=member.mode, digest=digest.hexdigest(), size=member.size)

    def _check_place(self, member: TarMember) -> None:
        path, parts = member.path, member.path.split("/")
        parent = path.rpartition("/")[0]
        if not {"", ".", ".."}.isdisjoint(parts) or "\0" in path:
            self._refuse(f"holds a name that leads out of it, or nowhere: {path!r}")
        if parts[0] not in _TOPS or (len(parts) == 1 and member.kind != DIRECTORY):
            self._refuse(f"holds something beside env/, app/ and share/: {path}")
        if path in self._entries or path in self._directories:
            self._refuse(f"holds {path} twice")
        if parent and not self._part and parent not in self._directories:
            self._refuse(f"holds {path} below something that is no directory")
        if member.kind != LINK and member.mode & 0o7000:
            self._refuse(f"holds {path} with a setuid, setgid or sticky bit (mode {member.mode:o})")
        if member.kind != LINK and member.mode not in (_MODES[1:] if member.kind == DIRECTORY else _MODES):
            self._refuse(f"holds {path} with mode {member.mode:o}; there should be 644 and 755 only")

    def _check_link(self, member: TarMember) -> None:
        try:
            link_member(member.path, member.link)
        except PackError as error:
            self._refuse(f"holds {member.path}, which {error.message}")

    def _refuse(self, sentence: str, remedy: str = _BUILT_WRONG) -> NoReturn:
        raise VerificationError(printable(sentence), where=self._where, remedy=remedy)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TarDamage as error:
            raise VerificationError(f"cannot be unpacked: {error}", where=self._where, remedy=_BUILT_WRONG) from error
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise VerificationError(f"cannot be unpacked: {error}", where=self._where, remedy=COPY_AGAIN) from error


def read_tree(bundle: OpenBundle) -> Tree:
    """The tree of a bundle's whole payload."""
    tree = Tree(bundle)
    with bundle.payload.open() as source:
        tree.fill(source)
    return tree


def app_tree(bundle: OpenBundle) -> tuple[TreeEntry, ...]:
    """The user's own files: no more of the payload is read than their segment, whose digest is compared."""
    segment = bundle.manifest.app_segment()
    if segment is None or segment.length == 0:
        return ()
    if bundle.payload.sha256(segment.offset, segment.length) != segment.sha256:
        where = f"{bundle.path}: {bundle.manifest.payload.path}"
        raise VerificationError("app/ in it is not what was built", where=where, remedy=COPY_AGAIN)
    tree = Tree(bundle, part=True)
    with bundle.payload.open(segment.offset, segment.length) as source:
        tree.fill(source)
    return tree.entries


@contextlib.contextmanager
def _decompressed(codec: str, source: BinaryIO) -> Iterator[BinaryIO]:
    """What frames one behind the other hold; they are read as one stream."""
    if codec == "none":
        yield source
    elif codec == "gzip":
        with gzip.GzipFile(fileobj=source, mode="rb") as plain:
            yield cast("BinaryIO", plain)
    elif codec == "xz":
        with lzma.LZMAFile(source) as plain:
            yield cast("BinaryIO", plain)
    else:
        import zstandard

        try:
            with zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True) as plain:
                yield cast("BinaryIO", plain)
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from error

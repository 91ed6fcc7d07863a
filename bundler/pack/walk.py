"""One entry of ``[files]`` -> the members that it becomes, and what of it cannot be shipped."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import PackError
from bundler.pack.members import LINK_MODE, Member, member_from
from bundler.pack.suspects import Suspects, matcher
from bundler.printable import printable

if TYPE_CHECKING:
    from bundler.config.project import AppFile

__all__ = ["MOST_LINKS", "Mistake", "Walk", "reason"]

_NOT_SHIPPED = ("__pycache__", ".git", ".hg", ".svn", ".mypy_cache", ".pytest_cache", ".ruff_cache")
MOST_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """Something of ``file`` that cannot be shipped: ``path`` below its source, and a sentence about it.

    ``follow``: following links is a way out; else it has to be mended or left out.
    """

    file: AppFile
    path: str
    sentence: str
    follow: bool = False

    def __str__(self) -> str:
        name = self.file.written or str(self.file.source)
        return printable(f"{name}/{self.path} {self.sentence}" if self.path else f"{name} {self.sentence}")


@dataclass
class Walk:
    """The walk through one source.

    ``members`` and ``directories`` (with their sources) are what was found, by path below the release. Links stand
    among the members as they are, whatever they lead to; ``links`` has their places in the file system. ``left_out``
    are the paths, below the source, of what is not shipped. ``copies`` counts the files that links lead to: size and
    number by device and inode.
    """

    file: AppFile
    members: dict[str, Member] = field(default_factory=dict)
    directories: dict[str, Path] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    mistakes: list[Mistake] = field(default_factory=list)
    suspects: Suspects = field(default_factory=Suspects)
    copies: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._excluded = matcher(self.file.exclude)
        self._top = f"app/{self.file.target}"

    def run(self) -> None:
        """Find everything. Raises nothing: what cannot be shipped is in ``mistakes``."""
        here = self.file.source.parent.resolve()
        above = [directory.stat() for directory in (here, *here.parents)]
        self._visit(self.file.source, "", tuple((one.st_dev, one.st_ino) for one in above))

    def place(self, below: str) -> str:
        """Where ``below``, a path below the source, is in the release."""
        return f"{self._top}/{below}" if below else self._top

    def below(self, path: str) -> str:
        """The reverse of :meth:`place`."""
        return path[len(self._top) + 1 :]

    def refuse(self, below: str, sentence: str, *, follow: bool = False) -> None:
        self.mistakes.append(Mistake(file=self.file, path=below, sentence=sentence, follow=follow))

    def _visit(self, source: Path, below: str, above: tuple[tuple[int, int], ...]) -> None:
        """Take what is at ``source``; ``above`` are the directories that it was reached through (device, inode)."""
        try:
            status = source.lstat()
            if self.file.links == "follow":
                status = source.stat()
            if stat.S_ISLNK(status.st_mode):
                self._link(source, below)
            elif stat.S_ISDIR(status.st_mode):
                self._directory(source, below, status, above)
            else:
                self._file(source, below, status)
        except PackError as error:
            self.refuse(below, error.message)
        except OSError as error:
            self.refuse(below, reason(source, error))

    def _link(self, source: Path, below: str) -> None:
        path = self.place(below)
        self.links[path] = source
        self.members[path] = Member(path=path, mode=LINK_MODE, link=_target(source))

    def _file(self, source: Path, below: str, status: os.stat_result) -> None:
        path = self.place(below)
        if _is_shared_cookie(source):
            self.left_out.add(below)
            return
        self.members[path] = member_from(str(source), path, status=status)
        if not os.access(source, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self.suspects.file(source, below)
        if self.file.links == "follow":
            size, number = self.copies.get((status.st_dev, status.st_ino), (status.st_size, 0))
            self.copies[status.st_dev, status.st_ino] = size, number + 1

    def _directory(self, source: Path, below: str, status: os.stat_result, above: tuple[tuple[int, int], ...]) -> None:
        this = (status.st_dev, status.st_ino)
        if this in above:
            self.refuse(
                below, f"is a symbolic link to one of its parent directories ({_chain(source)}): an endless loop"
            )
            return
        self.suspects.directory(source, below)
        names = sorted(child.name for child in source.iterdir())
        path = self.place(below)
        self.directories[path] = source
        before = len(self.members)
        for name in names:
            inner = f"{below}/{name}" if below else name
            if name in _NOT_SHIPPED or self._excluded.match(inner):
                self.left_out.add(inner)
            else:
                self._visit(source / name, inner, (*above, this))
        if not names:
            self.members[path] = Member(path=path, mode=0o755)
        elif len(self.members) == before:
            del self.directories[path]  # nothing of it is shipped


def _chain(source: Path) -> str:
    """``a -> b -> a``: where a link leads, up to what is no link, or to where it has been."""
    seen, told = [source], [source.name]
    while seen[-1].is_symlink() and len(seen) <= MOST_LINKS:
        told.append(_target(seen[-1]))
        step = Path(os.path.normpath(seen[-1].parent / told[-1]))
        if step in seen:
            break
        seen.append(step)
    return " -> ".join(told)


def _target(link: Path) -> str:
    return os.readlink(link)  # noqa: PTH115 -- pathlib would normalise the text


def reason(source: Path, error: OSError) -> str:
    """What is to be said of a file that cannot be had."""
    if error.errno == errno.ELOOP:
        return f"is a loop of symbolic links ({_chain(source)})"
    if error.errno == errno.ENOENT:
        if source.is_symlink():
            return f"is a broken symbolic link ({_chain(source)})"
        return "disappeared while [files] was being read"
    return f"cannot be read: {error.strerror or error}"


def _is_shared_cookie(source: Path) -> bool:
    """``releases/COOKIE`` of an Erlang or Elixir release: readable by all and the same on every host."""
    return source.name == "COOKIE" and (source.parent / "start_erl.data").is_file()

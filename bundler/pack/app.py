"""Collect the members below ``app/`` from ``[files]``. All problems are reported at once.

A symbolic link is kept if it leads to the same file on the server as here, in whichever entry that is. So its target in
the release matters, not whether it can be followed on this machine.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bundler.errors import PackError
from bundler.pack.walk import MOST_LINKS, Mistake, Walk, reason
from bundler.printable import counted, printable
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bundler.config.project import AppFile
    from bundler.pack.members import Member
    from bundler.progress import Progress

__all__ = ["app_members", "refuse_dangling"]

_SHOWN = 10
_WORTH_TELLING = 10 << 20
"""The size of duplicate files from which on a note is printed."""


def app_members(files: tuple[AppFile, ...], progress: Progress | None = None) -> tuple[Member, ...]:
    """The members for ``files``, without caches and version control; questionable files are reported to ``progress``.

    Raises :class:`PackError` with all files that cannot be included, and the lines for bundle.toml that fix it.
    """
    progress = progress or QuietProgress()
    walks = [Walk(file) for file in files]
    for walk in walks:
        walk.run()
        for note in _notes(walk):
            progress.step(f"note: {printable(note)}")
    release = _Release.of(walks)
    mistakes = [mistake for walk in walks for mistake in (*walk.mistakes, *_links(walk, walks, release))]
    mistakes += _collisions(walks, release)
    if mistakes:
        raise _refusal({walk.file: walk for walk in walks}, mistakes)
    return tuple(release.members.values())


def refuse_dangling(app: Iterable[Member], members: Iterable[Member]) -> None:
    """Raise :class:`PackError` for links in ``app`` to files in the environment that are not in ``members``."""
    links = [member for member in app if member.link is not None]
    if not links:
        return
    release = _Release(members={member.path: member for member in members})
    wrong = [printable(f"{link.path} -> {link.link}") for link in links if release.leads_to(link.path) is None]
    if wrong:
        raise PackError(
            _listed(
                f"{counted(len(wrong), 'link')} of [files] that lead to missing files in the environment:",
                wrong,
            ),
            where="files",
            remedy="The packages do not contain these files, or bundle.exclude excludes them. Fix or remove the links.",
        )


@dataclass(kw_only=True)
class _Release:
    """The tree as it will be on the server. ``open_to`` are directories whose content is not known yet."""

    members: dict[str, Member]
    open_to: tuple[str, ...] = ()
    directories: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.directories |= {path for path, member in self.members.items() if member.is_directory}
        for path in self.members:
            above = path.rpartition("/")[0]
            while above and above not in self.directories:
                self.directories.add(above)
                above = above.rpartition("/")[0]

    @classmethod
    def of(cls, walks: list[Walk]) -> _Release:
        """All members, with absolute links into a source made relative, like those of packages."""
        release = cls(members={path: one for walk in walks for path, one in walk.members.items()}, open_to=("env",))
        for walk in walks:
            for path in walk.links:
                target = walk.members[path].link or ""
                if target.startswith("/"):
                    found = release.place_of(Path(target), [walk, *walks])
                    if found is not None:
                        link = os.path.relpath(found, PurePosixPath(path).parent)
                        release.members[path] = replace(walk.members[path], link=link)
        return release

    def place_of(self, target: Path, walks: list[Walk]) -> str | None:
        """The path in the release of this machine's file ``target``, if any of ``walks`` has found it."""
        real = target.resolve()
        for walk in walks:
            source = walk.file.source.resolve()
            if real == source or source in real.parents:
                place = walk.place("" if real == source else real.relative_to(source).as_posix())
                if place in self.members or place in self.directories:
                    return place
        return None

    def leads_to(self, path: str) -> str | None:
        """``path`` with all links resolved; None if it does not exist, or there is a loop."""
        done, hops, todo = "", 0, path.split("/")[::-1]
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return None
                done = done.rpartition("/")[0]
                continue
            here = f"{done}/{part}" if done else part
            member = self.members.get(here)
            if member is not None and member.link is not None:
                hops += 1
                if member.link.startswith("/") or hops > MOST_LINKS:
                    return None
                todo += member.link.split("/")[::-1]
                continue
            if here in self.open_to:
                return here
            if here not in self.directories and (member is None or todo):
                return None
            done = here
        return done or None


def _links(walk: Walk, walks: list[Walk], release: _Release) -> Iterator[Mistake]:
    """The links in ``walk`` that would be broken on the server, or lead to a different file than here."""
    for path, source in walk.links.items():
        if release.members[path].link is None:
            continue  # another entry also provides this path
        found, below = release.leads_to(path), walk.below(path)
        try:
            source.stat()
        except OSError as error:
            if found is None:
                yield Mistake(file=walk.file, path=below, sentence=reason(source, error))
            continue
        target = walk.members[path].link
        follow = not _is_endless(source)
        if found is None:
            why = "is excluded" if _is_left_out(walk, source) else "is not in the bundle"
            yield Mistake(
                file=walk.file, path=below, sentence=f"is a symbolic link to {target}, which {why}", follow=follow
            )
        elif found not in release.open_to and not _is_same(source, found, walks):
            sentence = f"is a symbolic link to {target}, which is {found} on the server, but a different file here"
            yield Mistake(file=walk.file, path=below, sentence=sentence, follow=follow)


def _is_endless(link: Path) -> bool:
    """Whether the link leads to a directory that contains it."""
    real, above = link.resolve(), link.parent.resolve()
    return real == above or real in above.parents


def _is_left_out(walk: Walk, link: Path) -> bool:
    real, source = link.resolve(), walk.file.source.resolve()
    if source not in real.parents:
        return False
    below = real.relative_to(source)
    return any(path.as_posix() in walk.left_out for path in (below, *below.parents))


def _is_same(link: Path, path: str, walks: list[Walk]) -> bool:
    """Whether what is at ``path`` in the release comes from where ``link`` leads on this machine."""
    sources = [walk.directories[path] for walk in walks if path in walk.directories]
    sources += [Path(one.source) for walk in walks if (one := walk.members.get(path)) is not None and one.source]
    return any(source.samefile(link) for source in sources)


def _collisions(walks: list[Walk], release: _Release) -> Iterator[Mistake]:
    """Paths that two entries provide, and files of one where another has a directory."""
    owners: dict[str, Walk] = {}
    for walk in walks:
        for path, member in walk.members.items():
            owner = owners.setdefault(path, walk)
            if owner is not walk and not (member.is_directory and owner.members[path].is_directory):
                yield _collision(walk, owner, path, f"would be {path}")
    for walk in walks:
        for path in walk.members:
            for parent in map(str, PurePosixPath(path).parents):
                above = owners.get(parent)
                if above is not None and not above.members[parent].is_directory:
                    yield _collision(walk, above, path, f"would be below {parent}, which is not a directory")


def _collision(one: Walk, other: Walk, path: str, sentence: str) -> Mistake:
    if not one.below(path) and path in other.members and other.below(path):
        one, other = other, one  # files can be excluded only from a directory
    return Mistake(
        file=one.file, path=one.below(path), sentence=f"{sentence}: files.{other.file.target} provides it as well"
    )


def _notes(walk: Walk) -> Iterator[str]:
    """Files that perhaps should not be included."""
    where = f"files.{walk.file.target}"
    if sentence := walk.suspects.sentence():
        line = walk.file.line(exclude=walk.suspects.patterns())
        yield f"{where} contains {sentence}. To exclude them, write under [files]: {line}"
    more = sum(size * (number - 1) for size, number in walk.copies.values())
    if more > _WORTH_TELLING:
        yield (
            f"{where} contains some files more than once, because several links lead to them: {more / 1e6:.0f} MB more"
        )


def _refusal(walks: Mapping[AppFile, Walk], mistakes: list[Mistake]) -> PackError:
    files = tuple(dict.fromkeys(mistake.file for mistake in mistakes))
    if len(files) == 1:
        where, told = f"files.{files[0].target}", [str(mistake) for mistake in mistakes]
    else:
        where, told = "files", [f"files.{mistake.file.target}: {mistake}" for mistake in mistakes]
    message = told[0] if len(told) == 1 else _listed(f"{len(told)} problems:", told)
    remedies = [_remedy(walks[file], [mistake for mistake in mistakes if mistake.file == file]) for file in files]
    return PackError(message, where=where, remedy="\n  ".join(remedies))


def _listed(heading: str, lines: list[str]) -> str:
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n  - ".join([heading, *lines[:_SHOWN], *more])


def _remedy(walk: Walk, mistakes: list[Mistake]) -> str:
    """The line for bundle.toml that excludes the problematic files."""
    exclude: dict[str, None] = {}
    follow = False
    for mistake in mistakes:
        place = walk.suspects.around(mistake.path)
        if place is None and mistake.follow:
            follow = True
        elif mistake.path:
            exclude[glob.escape(place or mistake.path)] = None
    if follow:
        exclude |= {glob.escape(walk.below(path)): None for path, source in walk.links.items() if _is_endless(source)}
    if not follow and not exclude:
        return f"Fix files.{walk.file.target}, or remove it."
    do = "To include the link targets" if follow else "Fix this; or, to exclude it"
    if follow and exclude:
        do += " and exclude the rest"
    more = f" and {len(exclude) - _SHOWN} more to exclude" if len(exclude) > _SHOWN else ""
    line = walk.file.line(links="follow" if follow else None, exclude=tuple(exclude)[:_SHOWN])
    return f"{do}, write under [files]: {line}{more}"

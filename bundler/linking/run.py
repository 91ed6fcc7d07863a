"""Unpack archives into the package cache, and link them into a prefix, in the linker's process.

Only verified copies are linked: all packages are in the cache by then, and :mod:`bundler.package.copy` has compared
them with their archives. A file next to each copy records its archive.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bundler.diskspace import UNDECLARED, check_space, mib, size_of, too_little
from bundler.errors import DamagedCacheError, PrefixError
from bundler.fetch.archives import subdir_of
from bundler.fetch.condafile import NotAPackage, unpackable
from bundler.package.copy import BadCopy, check_copy
from bundler.package.info import declared_size
from bundler.printable import counted, last_lines
from bundler.process import Group, run
from bundler.resources import cache_dir
from bundler.scratch import remove_tree, scratch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.fetch.archives import Archive
    from bundler.process import Finished

__all__ = ["forget", "is_unpacked", "link", "unpack"]

_START = "import sys; sys.path[:] = sys.argv[1:]; from bundler.linking.worker import main; main()"
_OTHER_BUILD = "Use another build of the package."
_KILLED = "The kernel kills a program like this when memory runs out: free some, and build again."
_CRASHED = (
    "One of the packages crashes the linker: use another build of it, and report the crash as a bug in py-rattler."
)
_MOST_SAID = 2000
"""The maximum length of the linker's message: a name in an archive may have a million characters."""


class _FullError(Exception):
    """The linker has used up the disk except for the reserve, or written far more than was declared."""


def is_unpacked(archive: Archive) -> bool:
    """Whether the cache has a copy of the package that matches its archive. Any other copy is removed."""
    dist = archive.index().dist
    copy = _copy(dist)
    if not copy.exists():
        return False
    try:
        if _note(dist).read_text(encoding="ascii") != archive.package.sha256:
            raise BadCopy(str(copy), "belongs to a different archive")
        check_copy(copy, archive.info, archive.entries())
    except (BadCopy, OSError, UnicodeError):
        forget(dist)
        return False
    return True


def unpack(archives: Sequence[Archive]) -> None:
    """Unpack the packages that are not in the cache.

    Raises :class:`PrefixError` if one cannot be unpacked, or does not match its metadata.
    """
    missing = [archive for archive in archives if not _copy(archive.index().dist).exists()]
    if gone := [archive for archive in missing if not archive.verified]:  # another build has removed it meanwhile
        raise DamagedCacheError("it", packages=(gone[0].index().dist,))
    if not missing:
        return
    with scratch("pkgs") as room:
        (room / "archives").mkdir()
        goals = [room / str(number) for number in range(len(missing))]
        tasks = [
            {"archive": str(_unpackable(archive, room / "archives")), "goal": str(goal)}
            for archive, goal in zip(missing, goals, strict=True)
        ]
        declared = [declared_size(archive.info) for archive in missing]
        limits = _limits(room, declared)
        try:
            _ask({"unpack": tasks, **limits}, room, missing, doing="unpacked")
        except _FullError as error:
            raise _of_most(missing, goals, declared) from error
        for archive, goal, size in zip(missing, goals, declared, strict=True):
            _take(archive, goal, size)


def _limits(room: Path, declared: Sequence[int | None]) -> dict[str, Any]:
    """How many bytes may be written below ``room``, given the declared sizes. Raises :class:`PrefixError`."""
    least = sum(size or 0 for size in declared)
    kept = check_space(room, least, what="packages")
    return {"room": str(room), "kept": kept, "most": None if None in declared else least + UNDECLARED}


def _of_most(archives: Sequence[Archive], goals: Sequence[Path], declared: Sequence[int | None]) -> PrefixError:
    """The error for a full disk: the package that has exceeded its declared size the most."""
    sizes = [size_of(goal) for goal in goals]
    beyond = [size - (said or 0) for size, said in zip(sizes, declared, strict=True)]
    worst = beyond.index(max(beyond))
    said = "declares no sizes" if declared[worst] is None else f"declares {mib(declared[worst] or 0)}"
    return PrefixError(
        f"unpacking was stopped before the disk was full: it has unpacked to {mib(sizes[worst])} so far, and {said}",
        where=_named(archives[worst]),
        remedy="The unpacked files were removed. If the package really is that large, free some space; otherwise use a "
        "different build of it, and report it to its maintainers.",
    )


def _take(archive: Archive, unpacked: Path, declared: int | None) -> None:
    """Check an unpacked package, and move it to where the linker finds it."""
    index = archive.index()
    if declared is not None and (size := size_of(unpacked)) > declared + UNDECLARED:
        raise PrefixError(
            f"the archive is not what it declares: it unpacks to {mib(size)} and declares {mib(declared)}",
            where=_named(archive),
            remedy=_OTHER_BUILD,
        )
    try:
        check_copy(unpacked, archive.info, archive.entries())
    except BadCopy as error:
        raise PrefixError(
            f"the archive does not match its metadata: {error}", where=_named(archive), remedy=_OTHER_BUILD
        ) from error
    for left in (_note(index.dist), _locked(index.dist)):
        left.unlink(missing_ok=True)
    with suppress(FileExistsError, OSError):  # another build was faster
        unpacked.rename(_copy(index.dist))
        _note(index.dist).write_text(str(archive.package.sha256), encoding="ascii")


def link(archives: Sequence[Archive], prefix: Path, baked: str, platform: str) -> None:
    """Link unpacked packages into ``prefix``. Raises :class:`PrefixError`."""
    task = {
        "records": [_record(archive) for archive in archives],
        "prefix": str(prefix),
        "baked": baked,
        "platform": platform,
        "cache": str(cache_dir("pkgs")),
        **_limits(prefix.parent, (None,)),
    }
    try:
        _ask(task, prefix.parent, archives, doing="linked", where=platform)
    except _FullError as error:
        remove_tree(prefix)
        raise too_little("linking was stopped before the disk was full") from error
    except PrefixError:
        remove_tree(prefix)
        raise


def forget(dist: str) -> None:
    """Remove a package's copy (``name-version-build``) from the cache; it will be unpacked again from its archive."""
    copy = _copy(dist)
    try:
        _note(dist).unlink(missing_ok=True)
        remove_tree(copy)
    except OSError as error:
        raise PrefixError(
            f"cannot remove a corrupted copy: {error.strerror or error}",
            where=str(copy),
            remedy="Remove it by hand; it will be unpacked again.",
        ) from error


def _ask(
    task: Mapping[str, Any], room: Path, archives: Sequence[Archive], *, doing: str, where: str | None = None
) -> None:
    """Run a task with ``archives`` in the linker's process. Raises :class:`PrefixError` if it fails or crashes."""
    words = [sys.executable, "-I", "-S", "-c", _START, *filter(os.path.isabs, sys.path)]
    with tempfile.TemporaryFile(dir=room) as asked:
        asked.write(json.dumps(task).encode())
        asked.seek(0)
        done = run(words, env={"HOME": str(room), "LANG": "C.UTF-8"}, cwd=room, stdin=asked, check=False, group=Group())
    where = where or (_named(archives[0]) if len(archives) == 1 else None)
    if done.status != 0:
        raise _crash(done, len(archives), doing, where)
    answer = json.loads(done.stdout)
    if not answer:
        return
    if "full" in answer:
        raise _FullError
    failed = str(answer["failed"])
    failed = failed if len(failed) <= _MOST_SAID else f"{failed[:_MOST_SAID]}…"
    package = None if answer["package"] is None else _named(archives[answer["package"]])
    if answer["status"] is not None:
        raise _crash(replace(done, status=answer["status"]), 1 if package else len(archives), doing, package or where)
    if package is not None:
        reason = f"not a conda package that can be {doing}: {failed}"
        raise PrefixError(reason, where=package, remedy=_OTHER_BUILD)
    raise PrefixError(f"the environment could not be {doing}: {failed}", where=where)


def _crash(done: Finished, packages: int, doing: str, where: str | None) -> PrefixError:
    """The error for a linker that crashed while processing so many packages."""
    how = signal.Signals(-done.status).name if done.status < 0 else f"status {done.status}"
    said = "".join(f"\n    {line}" for line in last_lines(done.stderr, 5))
    return PrefixError(
        f"{counted(packages, 'package')} could not be {doing}: the linker crashed ({how}){said}",
        where=where,
        remedy=_KILLED if done.status == -signal.SIGKILL else _CRASHED,
    )


def _unpackable(archive: Archive, room: Path) -> Path:
    try:
        return unpackable(archive.path, room)
    except NotAPackage as error:
        raise PrefixError(f"cannot be unpacked: {error}", where=archive.package.name, remedy=_OTHER_BUILD) from error


def _record(archive: Archive) -> dict[str, Any]:
    """The package's own metadata, which is more complete than a lockfile entry (noarch, license)."""
    package, about = archive.package, archive.index().document
    return {
        "index": {**about, "subdir": subdir_of(about, package.platform)},
        "size": archive.size,
        "sha256": package.sha256,
        "md5": package.md5,
        "filename": package.filename,
        "channel": package.channel,
    }


def _named(archive: Archive) -> str:
    return f"{archive.package.name} ({archive.package.filename})"


def _copy(dist: str) -> Path:
    return cache_dir("pkgs") / dist


def _note(dist: str) -> Path:
    """The file that records the copy's archive."""
    return cache_dir("pkgs") / f".{dist}.sha256"


def _locked(dist: str) -> Path:
    """The linker's own record of the archive, from when it first linked the copy."""
    return cache_dir("pkgs") / f"{dist}.lock"

"""What people do today, on the same archives and the same package cache as our side.

``theirs.py pack LOCKFILE OUTPUT JOBS``   link with py-rattler, pack with conda-pack: ``OUTPUT`` is a ``.tar.gz``
``theirs.py link LOCKFILE PREFIX``        link with py-rattler, from the warm package cache
``theirs.py install LOCKFILE PREFIX``     unpack and link with py-rattler from the archives alone, as pixi-unpack does
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.lockfiles.condalock import locked_platforms, read_lock
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from rattler import RepoDataRecord  # noqa: TID251 -- this is the other side: it does without bundler.prefix


def main() -> None:
    """Do as the first word says."""
    what, lockfile, goal = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "pack":
        with tempfile.TemporaryDirectory(dir=cache_dir("prefix")) as temporary:
            prefix = Path(temporary, "env")
            asyncio.run(_link(lockfile, prefix, cache_dir("pkgs")))
            _pack(prefix, goal, jobs=int(sys.argv[4]))
    elif what == "link":
        asyncio.run(_link(lockfile, goal, cache_dir("pkgs")))
    else:
        with tempfile.TemporaryDirectory(dir=goal.parent) as empty:
            asyncio.run(_link(lockfile, goal, Path(empty)))


async def _link(lockfile: Path, prefix: Path, cache: Path) -> None:
    from rattler import RepoDataRecord, install  # noqa: TID251
    from rattler.package_cache import PackageCache  # noqa: TID251

    (platform,) = locked_platforms(lockfile)
    store = cache_dir("archives")
    packages = read_lock(lockfile, platform).packages
    archives = [store / str(package.sha256) / package.filename for package in packages]
    records: list[RepoDataRecord] = [await RepoDataRecord.from_package_archive(archive) for archive in archives]
    await install(records, prefix, package_cache=PackageCache(cache), show_progress=False)


def _pack(prefix: Path, goal: Path, *, jobs: int) -> None:
    from conda_pack import pack  # noqa: TID251

    (prefix / "conda-meta" / "history").touch()  # conda-pack fails without, and rattler writes none
    pack(prefix=str(prefix), output=str(goal), force=True, n_threads=jobs)


if __name__ == "__main__":
    main()
    # Not through the interpreter's own end: py-rattler's threads still use it then, and one run in five crashes.
    os._exit(0)

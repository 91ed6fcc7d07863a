"""``fetch.py ours|theirs LOCKFILE ROOM``: download and link, with caches in ``ROOM``, which is empty."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.lockfiles.condalock import locked_platforms, read_lock
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from bundler.locked import LockedPackage

BAKED = "/opt/bench/releases/1.0-0123456789ab/env"


def main() -> None:
    """Do as the first word says."""
    what, lockfile, room = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    (platform,) = locked_platforms(lockfile)
    lock = read_lock(lockfile, platform)
    if what == "theirs":
        asyncio.run(_install(lock.packages, room))
        return
    os.environ["CONDA_BUNDLER_CACHE"] = str(room)
    with make_prefix(lock, BAKED, QuietProgress()) as prefix:
        prefix.path.rename(room / "env")  # to remove it takes time, and the other side leaves its own


async def _install(packages: tuple[LockedPackage, ...], room: Path) -> None:
    from rattler import PackageRecord, RepoDataRecord, install  # noqa: TID251 -- this is the other side
    from rattler.package import BuildString  # noqa: TID251
    from rattler.package_cache import PackageCache  # noqa: TID251

    records = [
        RepoDataRecord(
            PackageRecord(
                package.name,
                package.version,
                BuildString(package.build),
                build_number=0,
                subdir=package.subdir,
                sha256=bytes.fromhex(package.sha256 or ""),
            ),
            package.filename,
            package.url,
            package.channel,
        )
        for package in packages
    ]
    await install(records, room / "env", package_cache=PackageCache(room / "pkgs"), show_progress=False)


if __name__ == "__main__":
    main()
    os._exit(0)  # not through the interpreter's own end: see bundler.cli

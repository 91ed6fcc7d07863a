"""A lock of archives that a test has just made: what a lockfile would say of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.locked import Lock, LockedPackage, dist_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["lock_of", "locked"]


def locked(
    archive: Path, *, name: str | None = None, url: str | None = None, depends: Sequence[str] = ()
) -> LockedPackage:
    """A conda package or a wheel that lies on disk; ``name`` if its file cannot say it, ``url`` if it is elsewhere."""
    wheel = archive.suffix == ".whl"
    parts = archive.name.split("-") if wheel else dist_of(archive.name).rsplit("-", 2)
    return LockedPackage(
        name=name or parts[0],
        version=parts[1],
        manager="pip" if wheel else "conda",
        platform="linux-64",
        url=url or archive.as_uri(),
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        md5=None,
        depends=tuple(depends),
    )


def lock_of(*packages: LockedPackage) -> Lock:
    return Lock(path=Path("conda-lock.yml"), platform="linux-64", packages=packages)

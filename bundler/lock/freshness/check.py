"""`conda-bundler lock --check`, for all kinds of lockfiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundler.config.lockfiles import kind_of
from bundler.errors import ConfigError, StaleLockError
from bundler.lock.freshness import find_fits

if TYPE_CHECKING:
    from bundler.config.lockfiles import Lockfiles
    from bundler.lock.request import LockRequest

__all__ = ["check_fits", "refuse_foreign"]


def check_fits(request: LockRequest, lockfiles: Lockfiles) -> tuple[list[str], dict[str, Any]]:
    """Lines and document of ``lock --check``. Raises :class:`StaleLockError` if a lockfile is out of date.

    ``fresh`` is null if none is known to be out of date, but some cannot be checked.
    """
    fits = find_fits(request, lockfiles)
    if stale := next((one for one in fits if one.fits is False), None):
        raise StaleLockError(
            stale.why if stale.path.exists() else "no lockfile",
            where=str(stale.path),
            remedy="Run `conda-bundler lock`." if stale.ours else stale.remedy,
        )
    document = {
        "lockfile": str(lockfiles.conda[0]),
        "fresh": None if any(one.fits is None for one in fits) else True,
        "notes": [note for one in fits for note in one.notes],
        "lockfiles": [{"path": str(one.path), "fresh": one.fits, "why": one.why} for one in fits],
    }
    return [line for one in fits for line in (str(one), *(f"note: {note}" for note in one.notes))], document


def refuse_foreign(lockfiles: Lockfiles) -> None:
    """Raise :class:`ConfigError` if the conda packages are locked by another tool, whose file we never overwrite."""
    if lockfiles.written_by_us:
        return
    path = lockfiles.conda[0]
    raise ConfigError(
        f"is a {kind_of(path).name}: conda-bundler can read it, but not write it",
        where=str(path),
        remedy=f"{kind_of(path).remedy}. Use --check to see whether it is up to date.",
    )

"""Check whether a lockfile is up to date with its manifest, for each kind of lockfile, as far as that is possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundler.config.lockfiles import CONDA_LOCK, PIXI, UV, kind_of
from bundler.errors import ConfigError
from bundler.lock.freshness.condalock import freshness
from bundler.lock.freshness.unknown import Unknown

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.config.lockfiles import Lockfiles
    from bundler.lock.request import LockRequest

__all__ = ["Fit", "find_fits"]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Whether ``path`` is up to date; None if that is unknown. ``why`` is the rest of a sentence that begins with its
    name, ``notes`` are notes for the user on one that is up to date.
    """

    path: Path
    fits: bool | None
    why: str
    notes: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """How to update it."""
        return kind_of(self.path).remedy

    @property
    def ours(self) -> bool:
        """Whether `conda-bundler lock` writes it."""
        return kind_of(self.path) is CONDA_LOCK

    def __str__(self) -> str:
        return f"{self.path} {self.why}"


def find_fits(request: LockRequest, lockfiles: Lockfiles) -> tuple[Fit, ...]:
    """One for each file. Nothing is written or downloaded.

    Raises :class:`ConfigError` if one is missing that another tool writes, and what reading them raises.
    """
    for path in lockfiles.files:
        kind = kind_of(path)
        if kind is not CONDA_LOCK and not path.is_file():
            raise ConfigError("no such lockfile", where=str(path), remedy=kind.remedy)
    return tuple(_fit(path, request, lockfiles) for path in lockfiles.files)


def _fit(path: Path, request: LockRequest, lockfiles: Lockfiles) -> Fit:
    kind = kind_of(path)
    if kind is CONDA_LOCK:
        if not path.exists():
            return Fit(path=path, fits=False, why="is missing")
        found = freshness(request)
        why = "is up to date" if found.fresh else found.reason or f"is out of date with {request.where}"
        return Fit(path=path, fits=found.fresh is True, why=why, notes=found.notes)
    try:
        misfit = _misfit(path, lockfiles, request.platforms)
    except Unknown as unknown:
        return Fit(path=path, fits=None, why=f"cannot be checked: {unknown}")
    return Fit(
        path=path, fits=not misfit, why=f"is out of date: {misfit}" if misfit else "is up to date with its manifest"
    )


def _misfit(path: Path, lockfiles: Lockfiles, platforms: tuple[str, ...]) -> str:
    """Why another tool's lockfile is out of date; empty if it is not. Raises :class:`Unknown`."""
    kind = kind_of(path)
    if kind is UV:
        from bundler.lock.freshness.uv import uv_misfit

        return uv_misfit(path)
    if kind is PIXI:
        from bundler.lock.freshness.pixi import pixi_misfit
        from bundler.lockfiles.read import locked_platforms

        known = locked_platforms(lockfiles)
        missing = [platform for platform in platforms if platform not in known]
        if missing:
            return f"not locked for {', '.join(missing)}"
        return pixi_misfit(path, replace(lockfiles, wheels=None), platforms)
    raise Unknown("it does not record what it was locked from")

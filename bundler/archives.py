"""Lock -> archives: every package fetched, and its bytes read and found to be what the lockfile says.

Every archive is hashed by us before anything of it is used, whatever its URL and however warm the caches are:
py-rattler checks no hash on ``file://`` URLs. Archives are kept by content, as ``archives/<sha256>/<file name>``.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bundler.digests import file_sha256
from bundler.errors import PrefixError, without_credentials
from bundler.lock.pip import check_wheels
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.lock.lockfile import Lock, LockedPackage
    from bundler.progress import Progress

__all__ = ["INDEX", "Archive", "fetch_archives", "keep", "read_index"]

INDEX, _PATHS, _LINK = "info/index.json", "info/paths.json", "info/link.json"
_AT_A_TIME = 8


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A package whose bytes have been read and are what the lockfile says.

    ``info`` are a conda package's files below ``info/`` that decide how it is linked, by their path; one that it does
    not have is missing. ``size`` is in bytes.
    """

    package: LockedPackage
    path: Path
    size: int
    info: Mapping[str, bytes]

    @property
    def dist(self) -> str:
        """``name-version-build``: what its copy in the package cache is called by."""
        return self.package.filename.removesuffix(".conda").removesuffix(".tar.bz2")

    def paths(self) -> tuple[Mapping[str, Any], ...]:
        """The entries of ``info/paths.json`` (conda's package specification); none for a package without one."""
        return tuple(json.loads(self.info[_PATHS])["paths"]) if _PATHS in self.info else ()


def fetch_archives(lock: Lock, progress: Progress) -> tuple[Archive, ...]:
    """All archives of ``lock``, in its order. Raises :class:`PrefixError` for what cannot be had or is wrong."""
    _check_lockable(lock)
    with (
        progress.task(f"Fetching and verifying {len(lock.packages)} packages", len(lock.packages)) as advance,
        ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool,
    ):
        archives = []
        try:
            for archive in pool.map(_fetch, lock.packages):
                archives.append(archive)
                advance(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return tuple(archives)


def _check_lockable(lock: Lock) -> None:
    """Refuse what cannot be verified or installed, before anything is downloaded."""
    check_wheels(lock.packages, lock.path)
    unhashed = [package.name for package in lock.packages if not package.sha256]
    if unhashed:
        raise PrefixError(
            f"no sha256 for {', '.join(unhashed)}; what cannot be verified is not installed",
            where=str(lock.path),
            remedy="Lock again (conda-bundler lock) with a channel whose repodata has sha256 sums.",
        )


def keep(path: Path, filename: str) -> str:
    """Put a file of this machine into the store, where :func:`fetch_archives` finds it by its sha256, returned."""
    room = cache_dir("archives")
    handle, name = tempfile.mkstemp(prefix=".", dir=room)
    os.close(handle)
    temporary = Path(name)
    try:
        shutil.copyfile(path, temporary)
        sha256 = file_sha256(temporary)
        kept = _place(sha256, filename)
        kept.parent.mkdir(exist_ok=True)
        temporary.replace(kept)
    except OSError as error:
        raise PrefixError(f"cannot be copied: {error.strerror or error}", where=str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return sha256


def read_index(path: Path, *, where: str) -> bytes:
    """``info/index.json`` of a conda package. Raises :class:`PrefixError` for what is none."""
    return _info(path, where)[INDEX]


def _place(sha256: str, filename: str) -> Path:
    return cache_dir("archives") / sha256 / filename


def _fetch(package: LockedPackage) -> Archive:
    """The package's archive from the store, verified; fetched first if it is not there."""
    assert package.sha256 is not None  # _check_lockable saw to it
    kept = _place(package.sha256, package.filename)
    if not (kept.is_file() and file_sha256(kept) == package.sha256):
        kept.parent.mkdir(exist_ok=True)
        _download(package, kept)
    info = _info(kept, f"{package.name} ({package.filename})") if package.manager == "conda" else {}
    return Archive(package=package, path=kept, size=kept.stat().st_size, info=info)


def _info(path: Path, where: str) -> dict[str, bytes]:
    try:
        found = asyncio.run(_read_info(path))
    except Exception as error:  # a package whose hash is right and that is none: any error of the reader's
        raise PrefixError(f"not a conda package: {error}", where=where) from error
    if INDEX not in found:
        raise PrefixError(f"not a conda package: it has no {INDEX}", where=where)
    return found


async def _read_info(path: Path) -> dict[str, bytes]:
    from rattler.package_streaming import PackageArchive

    archive = await PackageArchive.from_path(path)
    found = await archive.read_files([INDEX, _PATHS, _LINK])
    return {name: content for name, content in found.items() if content is not None}


def _download(package: LockedPackage, goal: Path) -> None:
    """Fetch to a temporary name, verify, rename: what has the final name is right."""
    handle, name = tempfile.mkstemp(prefix=".", dir=goal.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        _retrieve(package, temporary)
        found = file_sha256(temporary)
        if found != package.sha256:
            raise PrefixError(
                f"sha256 is {found}, the lockfile says {package.sha256} ({without_credentials(package.url)})",
                where=package.name,
                remedy="The archive was changed after it was locked. Find out why; if it is right, lock again.",
            )
        temporary.replace(goal)
    finally:
        temporary.unlink(missing_ok=True)


def _retrieve(package: LockedPackage, goal: Path) -> None:
    address = package.download_url()
    url = urlsplit(address)
    try:
        if url.scheme == "file":
            shutil.copyfile(unquote(url.path), goal)
        elif url.scheme in ("http", "https"):
            asyncio.run(_http(address, goal))
        else:
            raise PrefixError(f"cannot fetch {without_credentials(package.url)}: unknown scheme", where=package.name)
    except OSError as error:
        raise PrefixError(
            f"cannot read {without_credentials(package.url)}: {error.strerror or error}",
            where=package.name,
            remedy="If the channel has moved on since, lock again (conda-bundler lock).",
        ) from error


async def _http(url: str, goal: Path) -> None:
    from rattler.networking import Client
    from rattler.package_streaming import download_to_path

    try:
        await download_to_path(Client.default_client(), url, goal)
    except Exception as error:  # rattler raises bare exceptions of many kinds here
        raise PrefixError(
            f"download failed: {without_credentials(str(error))}",
            where=without_credentials(url),
            remedy="Check the network and the channel; the build can be run again, what it has is kept.",
        ) from error

"""Lock -> Prefix: fetch, verify and link the environment with py-rattler.

Every archive is hashed by us before anything is linked, whatever its URL and however warm the caches are:
py-rattler checks no hash on ``file://`` URLs and accepts cache entries that were stored without one. Archives
are kept by content (``archives/<sha256>/``), extracted packages in a cache of our own that is read with full
validation. The files are linked for the *baked* prefix, so that their bytes are the payload's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bundler.errors import PackError, PrefixError, without_credentials
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rattler import RepoDataRecord

    from bundler.lock.lockfile import Lock, LockedPackage
    from bundler.progress import Progress

__all__ = ["Archive", "Prefix", "make_prefix"]

_DOWNLOADS = 8
"""Archives fetched at a time."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A conda package whose bytes have been read and are what the lockfile says."""

    package: LockedPackage
    path: Path
    size: int


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """A linked environment: it lies at ``path``, its files carry ``baked``."""

    path: Path
    baked: str
    lock: Lock
    archives: tuple[Archive, ...]

    @property
    def release_dir(self) -> str:
        """The directory on the target that will hold this environment as ``env``."""
        return self.baked.removesuffix("/env")


@contextlib.contextmanager
def make_prefix(lock: Lock, baked: str, progress: Progress) -> Iterator[Prefix]:
    """Link the locked packages into a new directory, which is removed at the end of the ``with`` block.

    ``baked`` is the absolute path that the files carry. Raises :class:`PrefixError` if an archive cannot be had
    or is not what the lockfile says, :class:`PackError` if ``baked`` does not fit a package's placeholder.
    """
    _check_lockable(lock)
    archives = _fetch_all(lock, progress)
    room = cache_dir("prefix")  # beside the package cache, so that files can be hard links
    with tempfile.TemporaryDirectory(prefix=f"{lock.platform}-", dir=room) as temporary:
        path = Path(temporary) / "env"
        with progress.task(f"Linking {len(archives)} packages", len(archives)) as advance:
            _run_rattler(archives, path, baked, lock.platform)
            advance(len(archives))
        yield Prefix(path=path, baked=baked, lock=lock, archives=archives)


def _check_lockable(lock: Lock) -> None:
    """Refuse what cannot be verified or is not conda's, before anything is downloaded."""
    unhashed = [package.name for package in lock.packages if not package.sha256]
    if unhashed:
        raise PrefixError(
            f"no sha256 for {', '.join(unhashed)}; what cannot be verified is not installed",
            where=str(lock.path),
            remedy="Lock again (conda-bundler lock) with a channel whose repodata has sha256 sums.",
        )
    wheels = [package.name for package in lock.packages if package.manager != "conda"]
    if wheels:
        raise PrefixError(
            f"packages from a pip: section cannot be installed yet: {', '.join(wheels)}",
            where=str(lock.path),
            remedy="Take them from a conda channel instead.",
        )


def _fetch_all(lock: Lock, progress: Progress) -> tuple[Archive, ...]:
    with (
        progress.task(f"Fetching and verifying {len(lock.packages)} packages", len(lock.packages)) as advance,
        ThreadPoolExecutor(max_workers=_DOWNLOADS) as pool,
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


def _fetch(package: LockedPackage) -> Archive:
    """The package's archive from the store, verified; fetched first if it is not there."""
    assert package.sha256 is not None  # _check_lockable saw to it
    kept = cache_dir("archives") / package.sha256 / package.filename
    if not (kept.is_file() and _sha256(kept) == package.sha256):
        kept.parent.mkdir(exist_ok=True)
        _download(package, kept)
    return Archive(package=package, path=kept, size=kept.stat().st_size)


def _download(package: LockedPackage, goal: Path) -> None:
    """Fetch to a temporary name, verify, rename: what has the final name is right."""
    handle, name = tempfile.mkstemp(prefix=".", dir=goal.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        _retrieve(package, temporary)
        found = _sha256(temporary)
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


def _run_rattler(archives: tuple[Archive, ...], path: Path, baked: str, platform: str) -> None:
    from rattler.exceptions import InstallerError

    try:
        asyncio.run(_link(archives, path, baked, platform))
    except (InstallerError, OSError) as error:
        raise PrefixError(f"the environment could not be linked: {error}", where=platform) from error


async def _link(archives: tuple[Archive, ...], path: Path, baked: str, platform: str) -> None:
    from rattler import install
    from rattler.package_cache import PackageCache, ValidationMode
    from rattler.platform import Subdir

    records = await asyncio.gather(*(_record(archive) for archive in archives))
    for archive in archives:
        _check_room(archive, baked)
    await install(
        records,
        path,
        platform=Subdir(platform),
        show_progress=False,
        alternative_target_prefix=baked,
        package_cache=PackageCache.new_layered([cache_dir("pkgs")], False, ValidationMode.full()),
        execute_link_scripts=False,
    )


async def _record(archive: Archive) -> RepoDataRecord:
    """The package's own metadata, which is complete where a lockfile entry is not (noarch, licence)."""
    from rattler import RepoDataRecord

    try:
        record = await RepoDataRecord.from_package_archive(archive.path)
    except Exception as error:  # a package whose hash is right and that is none: any error of the reader's
        raise PrefixError(
            f"not a conda package: {error}", where=f"{archive.package.name} ({archive.package.filename})"
        ) from error
    if (record.name.normalized, str(record.version)) != (archive.package.name, archive.package.version):
        raise PrefixError(
            f"the archive holds {record.name.normalized} {record.version}, the lockfile says "
            f"{archive.package.name} {archive.package.version}",
            where=archive.package.filename,
            remedy="The lockfile was edited by hand; lock again.",
        )
    return record


def _check_room(archive: Archive, baked: str) -> None:
    """A binary can only take a prefix that is no longer than its placeholder."""
    from rattler.exceptions import ExtractError
    from rattler.package import PathsJson

    try:
        entries = PathsJson.from_package_archive(archive.path).paths
    except ExtractError:  # a package from before paths.json; the linker checks it again
        return
    for entry in entries:
        place = entry.prefix_placeholder
        if place is None or not place.file_mode.binary or len(place.placeholder) >= len(baked):
            continue
        raise PackError(
            f"{entry.relative_path} has room for a prefix of {len(place.placeholder)} bytes, {baked} has {len(baked)}",
            where=archive.package.name,
            remedy="Give the bundle a shorter name or version, or take a newer build of the package.",
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

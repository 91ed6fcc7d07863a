"""Lock -> archives: every package fetched, and its bytes read and found to be what the lockfile says.

Every archive is hashed by us before anything is unpacked from it, whatever its URL and however warm the caches are:
py-rattler checks no hash on ``file://`` URLs. Archives are kept by content, as ``archives/<sha256>/<file name>``, and
what one that was verified says of itself beside it (:mod:`bundler.fetch.notes`): a package that lies unpacked already
is not read again, since each of its files is compared with that.
"""

from __future__ import annotations

import functools
import shutil
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bundler.atomic import hold_lock, new_name
from bundler.digests import file_sha256
from bundler.errors import PrefixError
from bundler.fetch.channels import ANYHOW, Access, public_url
from bundler.fetch.condafile import NotAPackage, read_members
from bundler.fetch.notes import read_note, write_note
from bundler.package.info import DECIDING, INDEX, OLD, PATHS, read_entries, read_index
from bundler.printable import counted
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bundler.fetch.download import Downloaded, Downloader
    from bundler.locked import Lock, LockedPackage
    from bundler.package.info import Entry, Index
    from bundler.progress import Progress, Transfer

__all__ = ["INDEX", "Archive", "fetch_archives", "index_of", "keep", "kept_archive", "subdir_of"]

_AT_A_TIME = 8
_OTHER_BUILD = "Use another build of the package, and report the problem to its maintainers."


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A package that is what the lockfile says.

    ``info`` are a conda package's files below ``info/`` that decide how it is linked, by their path; one that it does
    not have is missing. ``size`` is in bytes. ``verified``: all its bytes were read this time, so that it may be
    unpacked; else only ``info`` is to be relied on.
    """

    package: LockedPackage
    path: Path
    size: int
    info: Mapping[str, bytes]
    verified: bool = True

    def entries(self) -> tuple[Entry, ...]:
        """What a conda package has. They are read anew each time: of all packages they would take much memory.

        This and :meth:`index` raise :class:`~bundler.package.info.BadInfo`, though not of an archive from
        :func:`fetch_archives` whose ``is_unpacked`` has asked for both.
        """
        return read_entries(self.info)

    def index(self) -> Index:
        """What a conda package is."""
        return read_index(self.info)


def fetch_archives(
    lock: Lock, progress: Progress, access: Access = ANYHOW, *, is_unpacked: Callable[[Archive], bool] = lambda _: False
) -> tuple[Archive, ...]:
    """All archives of ``lock``, in its order. Raises :class:`PrefixError` for what cannot be had or is wrong.

    ``is_unpacked`` says of a conda package, by its ``info``, that nothing will be unpacked from it; then its bytes are
    only read if they never were. It is asked by several threads at a time, once of each package.
    """
    _check_hashed(lock)
    for package in lock.packages:  # before anything is asked for
        access.named(package.url, where=f"{lock.path}: package {package.name}")
    if access.offline:
        _check_at_hand(lock, access)
    downloader = _downloader(access)
    with (
        progress.transfer(
            f"Fetching and verifying {counted(len(lock.packages), 'package')}", len(lock.packages)
        ) as transfer,
        ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool,
    ):
        store = _Store(downloader=downloader, access=access, transfer=transfer, is_unpacked=is_unpacked)
        pending = [pool.submit(store.fetch, package) for package in lock.packages]
        try:
            done, _ = wait(pending, return_when=FIRST_EXCEPTION)
            failed = next((future for future in pending if future in done and future.exception()), None)
            return tuple(future.result() for future in ([failed] if failed else pending))
        except BaseException:
            downloader().stop()
            pool.shutdown(cancel_futures=True)
            raise


def _downloader(access: Access) -> Callable[[], Downloader]:
    """One for all threads, made when it is asked for: to load an HTTP client takes longer than to look at archives."""

    @functools.cache
    def make() -> Downloader:
        from bundler.fetch.download import Downloader

        return Downloader(
            retries=access.retries,
            read_timeout=access.read_timeout,
            connections=_AT_A_TIME,
            servers=access.servers,
        )

    lock = threading.Lock()

    def get() -> Downloader:
        with lock:
            return make()

    return get


def _check_hashed(lock: Lock) -> None:
    """Refuse what cannot be verified, before anything is downloaded."""
    unhashed = [package.name for package in lock.packages if not package.sha256]
    if unhashed:
        raise PrefixError(
            f"no sha256 for {', '.join(unhashed)}: packages that cannot be verified are not installed",
            where=str(lock.path),
            remedy="Lock again (conda-bundler lock) with a channel whose repodata has sha256 checksums.",
        )


def keep(path: Path, filename: str) -> str:
    """Put a file of this machine into the store, where :func:`fetch_archives` finds it by its sha256, returned."""
    room = cache_dir("archives")
    temporary = new_name(room / "kept")
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


def kept_archive(package: LockedPackage) -> Path | None:
    """Where the package's archive lies if the store has it; nobody has looked whether it is damaged."""
    path = _kept(package) if package.sha256 else None
    return path if path is not None and path.is_file() else None


def index_of(path: Path, *, where: str) -> bytes:
    """``info/index.json`` of a conda package. Raises :class:`PrefixError` for what is none."""
    return _info(path, where)[INDEX]


def subdir_of(index: Mapping[str, Any], platform: str) -> str:
    """The subdir that ``info/index.json`` says; old packages say none, and are for ``platform`` unless noarch."""
    return str(index.get("subdir") or ("noarch" if index.get("noarch") else platform))


def _place(sha256: str, filename: str) -> Path:
    return cache_dir("archives") / sha256 / filename


def _check_at_hand(lock: Lock, access: Access) -> None:
    """Refuse to start without a network if one is needed, with all that is missing."""
    missing = [
        package.filename for package in lock.packages if not _is_local(package, access) and not _is_kept(package)
    ]
    if missing:
        listed = "".join(f"\n    {name}" for name in sorted(missing))
        are = "is" if len(missing) == 1 else "are"
        raise PrefixError(
            f"{len(missing)} of {counted(len(lock.packages), 'package')} {are} not in the cache, and --offline "
            f"prevents downloading them:{listed}",
            where=str(lock.path),
            remedy=f"Build once with network access, or copy {cache_dir('archives')} from a machine that has built it.",
        )


def _is_local(package: LockedPackage, access: Access) -> bool:
    return any(url.startswith("file:") for url in access.addresses(package.url))


def _kept(package: LockedPackage) -> Path:
    """Where the store has the package's archive, if it has."""
    assert package.sha256 is not None  # _check_hashed saw to it
    return _place(package.sha256, package.filename)


def _is_kept(package: LockedPackage) -> bool:
    path = _kept(package)
    return path.is_file() and file_sha256(path) == package.sha256


@dataclass(frozen=True, kw_only=True)
class _Store:
    """The archives that are kept, and how those that are missing get there."""

    downloader: Callable[[], Downloader]
    access: Access
    transfer: Transfer
    is_unpacked: Callable[[Archive], bool]

    def fetch(self, package: LockedPackage) -> Archive:
        """The package's archive, verified if anything will be unpacked from it; fetched first if it is not there."""
        archive = self._noted(package) or self._verified(package)
        if package.manager == "conda" and not self.is_unpacked(archive) and not archive.verified:
            archive = self._verified(package)
        self.transfer.done()
        return archive

    def _noted(self, package: LockedPackage) -> Archive | None:
        """As it was when it was verified."""
        kept = _kept(package)
        info = read_note(kept)
        if info is None or (package.manager == "conda" and info.keys().isdisjoint((PATHS, OLD[0]))):
            return None
        return Archive(package=package, path=kept, size=kept.stat().st_size, info=info, verified=False)

    def _verified(self, package: LockedPackage) -> Archive:
        kept = _kept(package)
        if not _is_kept(package):
            kept.parent.mkdir(exist_ok=True)
            with hold_lock(kept.parent):
                if not _is_kept(package):  # another build may have brought it
                    self._bring(package, kept)
        info: dict[str, bytes] = {}
        if package.manager == "conda":
            info = _info(kept, f"{package.name} ({package.filename})")
            write_note(kept, info)
        return Archive(package=package, path=kept, size=kept.stat().st_size, info=info)

    def _bring(self, package: LockedPackage, kept: Path) -> None:
        """Fetch to another name, verify, rename: what has the final name is right."""
        part = kept.with_name(f".{kept.name}.part")
        addresses = self._addresses(package)
        wrong: list[str] = []
        while addresses:
            found = self._download(package, addresses, part, wrong)
            if found.sha256 == package.sha256:
                part.replace(kept)
                return
            part.unlink()
            if not found.pieced:  # else once more, all from one answer
                addresses.remove(found.url)
                wrong.append(
                    f"sha256 is {found.sha256}, but the lockfile says {package.sha256} ({public_url(found.url)})"
                )
        raise PrefixError(
            "; ".join(wrong),
            where=package.name,
            remedy="The archive has changed since it was locked. Find out why; if the change is intended, lock again.",
        )

    def _addresses(self, package: LockedPackage) -> list[str]:
        quoted = package.manager != "conda"  # to conda-lock the variables of a package index are as they are
        return [
            self.access.filled(url, where=f"package {package.name}", quoted=quoted)
            for url in self.access.addresses(package.url)
            if url.startswith("file:") or not self.access.offline
        ]

    def _download(self, package: LockedPackage, addresses: list[str], part: Path, wrong: list[str]) -> Downloaded:
        from bundler.fetch.download import DownloadFailed

        try:
            return self.downloader().download(addresses, part, self.transfer.moved)
        except DownloadFailed as failed:
            raise PrefixError(
                "; ".join([*wrong, f"download failed: {failed}"]),
                where=f"{package.name} ({public_url(package.url)})",
                remedy=_remedy(failed.status, addresses),
            ) from failed
        except OSError as error:
            raise PrefixError(
                f"cannot be written: {error.strerror or error}",
                where=str(part.parent),
                remedy="Free some space there, or set CONDA_BUNDLER_CACHE to another directory for the caches.",
            ) from error


def _remedy(status: int, addresses: list[str]) -> str:
    hosts = ", ".join(dict.fromkeys(urlsplit(url).hostname or url for url in addresses))
    if status in (401, 403):
        return f"Provide credentials for {hosts} in netrc, the keyring or rattler's auth file (RATTLER_AUTH_FILE)."
    if status in (404, 410) or all(url.startswith("file:") for url in addresses):
        return "If the channel no longer has the locked package, lock again (conda-bundler lock)."
    return "Check the network and the channel, then build again; completed downloads are kept."


def _info(path: Path, where: str) -> dict[str, bytes]:
    try:
        found = read_members(path, DECIDING)
        if PATHS not in found:
            found |= read_members(path, OLD)
    except NotAPackage as error:
        raise PrefixError(f"not a conda package: {error}", where=where, remedy=_OTHER_BUILD) from error
    if INDEX not in found:
        raise PrefixError(f"not a conda package: it has no {INDEX}", where=where, remedy=_OTHER_BUILD)
    return found

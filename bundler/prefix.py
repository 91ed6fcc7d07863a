"""Lock -> Prefix: link the environment with py-rattler, for the *baked* prefix, so that its bytes are the payload's.

py-rattler unpacks each archive once, into a package cache of our own, and links from there. What lies in a cache is
never taken at its word: what decides how a package is linked, and the files that linking rewrites, are compared here
with what the verified archive says; all other files are, when they are packed (:mod:`bundler.pack.blocks`), so that
every byte is read once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.digests import file_sha256
from bundler.errors import DamagedCacheError, PackError, PrefixError
from bundler.fetch.archives import INDEX, fetch_archives, subdir_of
from bundler.fetch.channels import ANYHOW
from bundler.fetch.condafile import NotAPackage, unpackable
from bundler.linkscripts.consent import NO_CONSENT
from bundler.lock.pip import check_wheels
from bundler.printable import counted, printable
from bundler.resources import cache_dir
from bundler.scratch import scratch
from bundler.sharing.conda import conda_packages, link_order
from bundler.sharing.decide import decide, with_owners
from bundler.sharing.owners import NO_OWNERS
from bundler.sharing.settle import rounds, set_aside, settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rattler import RepoDataRecord

    from bundler.fetch.archives import Archive
    from bundler.fetch.channels import Access
    from bundler.linkscripts.consent import Consent
    from bundler.linkscripts.run import Effects
    from bundler.lock.lockfile import Lock
    from bundler.progress import Progress
    from bundler.sharing.owners import Owners
    from bundler.sharing.shared import Shared
    from bundler.wheels.install import Plan
    from bundler.wheels.python import Python

__all__ = ["Prefix", "forget", "make_prefix"]


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """A linked environment: it lies at ``path``, its files carry ``baked``; ``wheels`` are what else is installed.

    ``shared`` are the paths that several packages have. ``linked`` is as the linker has left it: ``path`` itself,
    unless link scripts were run, on a copy. What they have done there is in ``effects``. Nothing of the copy may be
    run outside of the cage.
    """

    path: Path
    baked: str
    lock: Lock
    archives: tuple[Archive, ...]
    linked: Path
    wheels: tuple[Plan, ...] = ()
    shared: tuple[Shared, ...] = ()
    consent: Consent = NO_CONSENT
    effects: tuple[Effects, ...] = ()

    @property
    def release_dir(self) -> str:
        """The directory on the target that will hold this environment as ``env``."""
        return self.baked.removesuffix("/env")

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the linker wrote into ``conda-meta``: file name and content, one at a time, for they can be large."""
        for path in sorted((self.path / "conda-meta").glob("*.json")):
            yield path.name, json.loads(path.read_bytes())


@contextlib.contextmanager
def make_prefix(
    lock: Lock,
    baked: str,
    progress: Progress,
    access: Access = ANYHOW,
    *,
    owners: Owners = NO_OWNERS,
    consent: Consent = NO_CONSENT,
) -> Iterator[Prefix]:
    """Link the locked packages into a new directory, which is removed at the end of the ``with`` block.

    ``baked`` is the absolute path that the files carry, ``owners`` says whose file is used where packages have
    different ones, ``consent`` whose link scripts may run. Raises :class:`PrefixError` if an archive cannot be had or
    is not what the lockfile says, or if packages do not go together, :class:`PackError` if ``baked`` does not fit a
    package's placeholder, and what running link scripts raises.
    """
    check_wheels(lock.packages, lock.path)
    is_unpacked = partial(_is_unpacked, baked=baked)
    archives = fetch_archives(lock, progress, access, is_unpacked=is_unpacked)
    packages = tuple(archive for archive in archives if archive.package.manager == "conda")
    wheels = _plan(archives, lock, progress)
    shared = decide(archives, wheels, owners, progress.step)
    wheels = with_owners(wheels, shared)
    with scratch("prefix") as temporary:  # beside the package cache, so that files can be hard links
        path = temporary / "env"
        with progress.task(f"Linking {counted(len(archives), 'package')}", len(archives)) as advance:
            for given in rounds(packages, shared):
                _run_rattler(given, path, baked, lock.platform)
                set_aside(path, given, shared)
            _give_back()
            shared = settle(path, packages, shared)
            advance(len(packages))
            prefix = Prefix(
                path=path, linked=path, baked=baked, lock=lock, archives=archives, wheels=wheels, shared=shared
            )
            if consent.packages:
                prefix = _with_scripts(prefix, consent)
            if wheels:
                _install(prefix)
                advance(len(wheels))
        for done in prefix.effects:
            progress.step(str(done))
            for line in done.messages:
                progress.step(f"  {done.package}: {line}")
        yield prefix


def _plan(archives: tuple[Archive, ...], lock: Lock, progress: Progress) -> tuple[Plan, ...]:
    """What the wheels among ``archives`` will write. What looks into them is only loaded if there are any."""
    python: Python | None = None
    wheels: tuple[Plan, ...] = ()
    if any(archive.package.manager != "conda" for archive in archives):
        from bundler.wheels.needs import unmet
        from bundler.wheels.plan import environment_python, plan_wheels

        python = environment_python(archives, lock.platform)
        wheels = plan_wheels(archives, python)
        for sentence in unmet((one.wheel for one in wheels if not one.package.injected), lock.packages, python):
            progress.step(f"note: {sentence}; if the package index said otherwise, lock again")
    if any(archive.package.injected for archive in archives):
        from bundler.local.check import check_local

        check_local(archives, {one.package.key: one.wheel for one in wheels}, python)
    return wheels


def _with_scripts(prefix: Prefix, consent: Consent) -> Prefix:
    from bundler.linkscripts.run import Job, declarations, read_scripts, refuse_foreign, run_scripts

    order = link_order(conda_packages(prefix.archives))
    packages = read_scripts((record for _, record in prefix.records()), order)
    scripted = [package.name for package in packages if package.scripts]
    consent.check_scripts([package.name for package in packages], scripted)
    wanted = [name for name in scripted if consent.covers(name)]
    refuse_foreign(wanted, prefix.lock.platform, consent.where)
    if not wanted:
        return replace(prefix, consent=consent)
    declared = declarations(record for _, record in prefix.records())
    job = Job(linked=prefix.linked, baked=prefix.baked, packages=packages, declared=declared, consent=consent)
    path, effects = run_scripts(job)
    return replace(prefix, path=path, consent=consent, effects=effects)


def _install(prefix: Prefix) -> None:
    from bundler.wheels.install import install_wheels

    made = {path: done for done in prefix.effects for path in done.added}
    for wheel in prefix.wheels:
        if taken := [file for file in wheel.written if file in made]:
            done = made[taken[0]]
            raise PrefixError(
                f"{taken[0]}: the {done.script} script of {done.package} has made a file that this wheel brings",
                where=wheel.package.name,
                remedy="Take the wheel's project as a conda package, or leave the script's file out: "
                f'exclude = ["{taken[0]}"] below [bundle] keeps the wheel\'s.',
            )
    install_wheels(prefix.wheels, prefix.path, prefix.baked)


def forget(dist: str) -> None:
    """Remove a package's copy (``name-version-build``) from the cache; it will be unpacked anew from its archive."""
    copy = cache_dir("pkgs") / dist
    try:
        shutil.rmtree(copy)
    except FileNotFoundError:  # another build has forgotten it, too
        pass
    except OSError as error:
        raise PrefixError(
            f"a damaged copy cannot be removed: {error.strerror or error}",
            where=str(copy),
            remedy="Remove it by hand; it will be unpacked anew.",
        ) from error


def _named(archive: Archive) -> str:
    return f"{archive.package.name} ({archive.package.filename})"


def _entries(archive: Archive) -> tuple[Mapping[str, Any], ...]:
    """What paths.json says, of a package that is the one that was locked."""
    where = _named(archive)
    try:
        index, entries = json.loads(archive.info[INDEX]), archive.paths()
        archive.entry_points()
        if not all(isinstance(entry, dict) and isinstance(entry.get("_path"), str) for entry in entries):
            raise ValueError("an entry of paths.json has no `_path`")
        if any("prefix_placeholder" in entry and not _is_rewritten(entry) for entry in entries):
            raise ValueError("an entry of paths.json has a placeholder that is none")
        found = index["name"], index["version"]
        subdir = subdir_of(index, archive.package.platform)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise PrefixError(
            f"not a conda package: its metadata cannot be read ({error!r})",
            where=where,
            remedy="Take another build of the package.",
        ) from error
    if found != (archive.package.name, archive.package.version):
        raise PrefixError(
            f"the archive holds {printable(f'{found[0]} {found[1]}')}, the lockfile says "
            f"{archive.package.name} {archive.package.version}",
            where=archive.package.filename,
            remedy="The lockfile was edited by hand; lock again.",
        )
    if subdir not in (archive.package.platform, "noarch"):
        raise PrefixError(
            f"the archive is built for {printable(subdir)}, the lockfile says {archive.package.platform}",
            where=archive.package.filename,
            remedy="The channel has it in the wrong place, or the lockfile was edited by hand; lock again.",
        )
    return entries


def _is_rewritten(entry: Mapping[str, Any]) -> bool:
    placeholder, mode = entry["prefix_placeholder"], entry.get("file_mode")
    return placeholder is None or (isinstance(placeholder, str) and mode in ("text", "binary"))


def _check_room(archive: Archive, entries: tuple[Mapping[str, Any], ...], baked: str) -> None:
    """A binary can only take a prefix that is no longer than its placeholder."""
    for entry in entries:
        placeholder = entry.get("prefix_placeholder")
        if placeholder is None or entry["file_mode"] != "binary" or len(placeholder) >= len(baked):
            continue
        raise PackError(
            f"{printable(entry['_path'])} has room for a prefix of {len(placeholder)} bytes, {baked} has {len(baked)}",
            where=archive.package.name,
            remedy="Give the bundle a shorter name or version, or take a newer build of the package.",
        )


def _run_rattler(archives: tuple[Archive, ...], path: Path, baked: str, platform: str) -> None:
    from rattler.exceptions import InstallerError

    try:
        asyncio.run(_link(archives, path, baked, platform))
    except (InstallerError, OSError) as error:
        _remove_while_written_to(path)
        damage = _something_missing(archives)
        raise damage or PrefixError(f"the environment could not be linked: {error}", where=platform) from error


def _remove_while_written_to(path: Path) -> None:
    """Remove what was linked: the linker's other threads go on for a moment after one of them has failed."""
    for _ in range(100):
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.05)
        if not path.exists():
            return


def _something_missing(archives: Iterable[Archive]) -> DamagedCacheError | None:
    """A copy that has not all of its files, if there is one that could not be unpacked anew."""
    for archive in archives:
        copy = cache_dir("pkgs") / archive.package.dist
        for entry in () if archive.verified else archive.paths():
            if not os.path.lexists(copy / entry["_path"]):
                return DamagedCacheError(entry["_path"], packages=(archive.package.dist,))
    return None


def _give_back() -> None:
    """Return freed memory to the system: of 60,000 files' links glibc would keep 130 MB for nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def _link(archives: tuple[Archive, ...], path: Path, baked: str, platform: str) -> None:
    from rattler import install
    from rattler.package_cache import PackageCache, ValidationMode
    from rattler.platform import Subdir

    with tempfile.TemporaryDirectory(dir=path.parent) as room:
        records = [_record(archive, Path(room)) for archive in archives]
        await install(
            records,
            path,
            platform=Subdir(platform),
            show_progress=False,
            alternative_target_prefix=baked,
            package_cache=PackageCache.new_layered([cache_dir("pkgs")], False, ValidationMode.fast()),
            execute_link_scripts=False,
        )


def _record(archive: Archive, room: Path) -> RepoDataRecord:
    """The package's own metadata, which is complete where a lockfile entry is not (noarch, licence)."""
    from rattler import PackageRecord, RepoDataRecord

    index = room / INDEX
    index.parent.mkdir(exist_ok=True)
    about = json.loads(archive.info[INDEX])
    index.write_text(json.dumps(about | {"subdir": subdir_of(about, archive.package.platform)}))
    try:
        record = PackageRecord.from_index_json(index, archive.size, archive.package.sha256, archive.package.md5)
    except Exception as error:  # whatever the parser raises
        raise PrefixError(f"not a conda package: {error}", where=_named(archive)) from error
    # What was not verified is not to be unpacked, should its copy vanish meanwhile: it is where nothing is.
    path = archive.path.parent / "not-verified" / archive.path.name
    if archive.verified:
        try:
            path = unpackable(archive.path, room)
        except NotAPackage as error:
            raise PrefixError(f"cannot be unpacked: {error}", where=archive.package.name) from error
    return RepoDataRecord(record, archive.package.filename, path.as_uri(), archive.package.channel)


def _is_unpacked(archive: Archive, *, baked: str) -> bool:
    """Whether the package's copy lies in the cache, and the linker would read of it what the archive holds.

    It reads what says how to link, and the files that it writes the prefix into. A copy that has something else there
    is forgotten. Raises what :func:`make_prefix` does of a package that cannot be linked.
    """
    entries = _entries(archive)
    _check_room(archive, entries, baked)
    copy = cache_dir("pkgs") / archive.package.dist
    if not copy.exists():
        return False
    rewritten = (entry for entry in entries if "prefix_placeholder" in entry and "sha256" in entry)
    if all(_reads(copy / name, content) for name, content in archive.info.items()) and all(
        _has(copy / entry["_path"], entry["sha256"]) for entry in rewritten
    ):
        return True
    forget(archive.package.dist)
    return False


def _reads(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256

"""Link the locked environment with py-rattler, for the *baked* prefix, so that its files are those of the payload.

py-rattler runs in a separate process, which unpacks each archive once, into our own package cache, and links from there
(:mod:`bundler.linking`). Packages' metadata is validated first (:mod:`bundler.package.info`), and cached copies are
compared with their archives (:mod:`bundler.package.copy`).
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bundler.errors import PackError, PrefixError
from bundler.fetch.archives import fetch_archives, subdir_of
from bundler.fetch.channels import ANYHOW
from bundler.linking.run import forget, is_unpacked, link, unpack
from bundler.linkscripts.consent import NO_CONSENT
from bundler.lock.environment.pip import check_wheels
from bundler.package.info import BadInfo
from bundler.printable import counted, printable
from bundler.scratch import scratch
from bundler.sharing.conda import conda_packages, interpreter_of, link_order
from bundler.sharing.decide import decide, with_owners
from bundler.sharing.interpreter import check_effects
from bundler.sharing.owners import NO_OWNERS
from bundler.sharing.settle import rounds, set_aside, settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bundler.fetch.archives import Archive
    from bundler.fetch.channels import Access
    from bundler.linkscripts.consent import Consent
    from bundler.linkscripts.run import Effects
    from bundler.locked import Lock
    from bundler.package.info import Entry
    from bundler.progress import Progress
    from bundler.sharing.owners import Owners
    from bundler.sharing.shared import Shared
    from bundler.wheels.install import Plan
    from bundler.wheels.python import Python

__all__ = ["Prefix", "forget", "make_prefix"]


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """A linked environment: it is at ``path``, but its files contain the prefix ``baked``; ``wheels`` are installed
    too.

    ``shared`` are the paths that several packages provide. ``linked`` is the environment as the linker left it:
    ``path`` itself, unless link scripts were run on a copy; ``effects`` are their changes. Nothing in that copy may be
    run outside the sandbox.
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
        """The directory on the server that will contain this environment as ``env``."""
        return self.baked.removesuffix("/env")

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The records in ``conda-meta``: file name and content, one at a time, since they can be large."""
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

    ``baked`` is the absolute path that the files contain, ``owners`` decides between different files at the same path,
    and ``consent`` names the packages whose link scripts may run. Raises :class:`PrefixError` if an archive is missing
    or differs from the lockfile, or if packages conflict, :class:`PackError` if ``baked`` does not fit into a package's
    placeholder, and what running link scripts raises.
    """
    check_wheels(lock.packages, lock.path)
    archives = fetch_archives(lock, progress, access, is_unpacked=partial(_looked_at, baked=baked))
    packages = tuple(archive for archive in archives if archive.package.manager == "conda")
    wheels = _plan(archives, lock, progress)
    shared = decide(archives, wheels, owners, progress.step)
    wheels = with_owners(wheels, shared)
    with scratch("prefix") as temporary:  # on the package cache's file system, for hard links
        path = temporary / "env"
        with progress.task(f"Linking {counted(len(archives), 'package')}", len(archives)) as advance:
            unpack(packages)
            for given in rounds(packages, shared):
                link(given, path, baked, lock.platform)
                set_aside(path, given, shared)
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
    """The files that the wheels among ``archives`` will write. Modules for that are loaded only if there are wheels."""
    python: Python | None = None
    wheels: tuple[Plan, ...] = ()
    if any(archive.package.manager != "conda" for archive in archives):
        from bundler.wheels.needs import unmet
        from bundler.wheels.plan import environment_python, plan_wheels

        python = environment_python(archives, lock.platform)
        wheels = plan_wheels(archives, python)
        for sentence in unmet((one.wheel for one in wheels if not one.package.injected), lock.packages, python):
            progress.step(f"note: {sentence}; if the package index disagrees, lock again")
    if any(archive.package.injected for archive in archives):
        from bundler.inject.check import check_local

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
    check_effects(interpreter_of(conda_packages(prefix.archives)), effects)
    return replace(prefix, path=path, consent=consent, effects=effects)


def _install(prefix: Prefix) -> None:
    from bundler.wheels.install import install_wheels

    made = {path: done for done in prefix.effects for path in done.added}
    for wheel in prefix.wheels:
        if taken := [file for file in wheel.written if file in made]:
            done = made[taken[0]]
            raise PrefixError(
                f"{taken[0]}: the {done.script} script of {done.package} created a file that this wheel also contains",
                where=wheel.package.name,
                remedy="Use a conda package instead of the wheel, or exclude the script's file: "
                f'exclude = ["{taken[0]}"] under [bundle] keeps the wheel\'s file.',
            )
    install_wheels(prefix.wheels, prefix.path, prefix.baked)


def _looked_at(archive: Archive, *, baked: str) -> bool:
    """Whether the cache has an intact copy of the package. Raises what :func:`make_prefix` raises for a package."""
    entries = _checked(archive)
    _check_room(archive, entries, baked)
    return is_unpacked(archive)


def _named(archive: Archive) -> str:
    return f"{archive.package.name} ({archive.package.filename})"


def _checked(archive: Archive) -> tuple[Entry, ...]:
    """The entries of a package, after checking that it can be linked and is the locked one."""
    package = archive.package
    try:
        index, entries = archive.index(), archive.entries()
        subdir = subdir_of(index.document, package.platform)
    except BadInfo as error:
        raise PrefixError(
            f"not a conda package: invalid metadata: {error}",
            where=_named(archive),
            remedy="Nothing was linked. Use another build of the package, and report the problem to its maintainers.",
        ) from error
    if (index.name, index.version) != (package.name, package.version) or index.dist != unquote(package.dist):
        raise PrefixError(
            f"the archive contains {index.name} {index.version} {index.build}, but the lockfile says "
            f"{package.name} {package.version} {package.build}",
            where=package.filename,
            remedy="The lockfile was edited by hand, or the archive is misnamed; lock again.",
        )
    if subdir not in (package.platform, "noarch"):
        raise PrefixError(
            f"the archive was built for {printable(subdir)}, but the lockfile says {package.platform}",
            where=package.filename,
            remedy="The channel has it in the wrong place, or the lockfile was edited by hand; lock again.",
        )
    return entries


def _check_room(archive: Archive, entries: Iterable[Entry], baked: str) -> None:
    """Check that the prefix is not longer than the placeholders in binaries."""
    for entry in entries:
        if entry.placeholder is None or entry.mode != "binary" or len(entry.placeholder) >= len(baked):
            continue
        raise PackError(
            f"prefix too long for {printable(entry.path)}: {len(entry.placeholder)} bytes available, "
            f"{baked} needs {len(baked)}",
            where=archive.package.name,
            remedy="Use a shorter bundle name or version, or a newer build of the package.",
        )

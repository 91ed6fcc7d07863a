"""The pipeline: BundleConfig -> Lock -> Prefix -> Payload -> Bundle."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from bundler.about.read import facts_of
from bundler.bundle.assemble import Bundle, place, workspace, write_files
from bundler.bundle.files import document_entry, target_files, whole_bundle
from bundler.bundle.identity import identify
from bundler.bundle.manifest import decompressor_entry, make_manifest
from bundler.bundle.provenance import LOCAL_BUILDER, dependencies_of, make_provenance, parameters_of
from bundler.bundle.sbom import SBOM, bundle_sbom
from bundler.config.lockfiles import CONDA_LOCK, EXPLICIT, kind_of
from bundler.errors import ConfigError, DamagedCacheError, StaleLockError
from bundler.inject.replace import with_local
from bundler.inputs import read_inputs
from bundler.installer.activation import read_activation
from bundler.installer.render import render_programs
from bundler.installer.requirements import requirements
from bundler.licenses.gate import check_licenses
from bundler.linkscripts.consent import Consent
from bundler.lock.condalock import write_lockfile
from bundler.lock.decompressor import locked_decompressor
from bundler.lock.environment.pip import check_wheels
from bundler.lock.environment.userurls import user_urls
from bundler.lock.freshness import find_fits
from bundler.lock.request import LOCK_TIMEOUT, lock_request
from bundler.locked import Lock
from bundler.lockfiles.read import files_for, locked_categories, locked_platforms, read_lock
from bundler.pack.codecs import CODECS
from bundler.pack.collect import Filters
from bundler.pack.decompressor import UnusableError, take_decompressor
from bundler.pack.payload import PackOptions, make_payload
from bundler.platforms import MACHINES, runs_here
from bundler.prefix import forget, make_prefix
from bundler.progress import QuietProgress
from bundler.sharing.owners import Owners, check_names
from bundler.units.caches import cache_variables
from bundler.units.commandnotes import command_notes
from bundler.units.contents import Contents, code_notes, find_marks, find_wrappers
from bundler.units.ending import ending_notes
from bundler.units.health import health_notes
from bundler.units.libraries import host_libraries, library_notes
from bundler.units.notes import override_notes
from bundler.units.sisters import sister_notes
from bundler.units.sockets import socket_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bundler.bundle.identity import Identity
    from bundler.config.lockfiles import Lockfiles
    from bundler.config.project import BundleConfig
    from bundler.fetch.archives import Archive
    from bundler.inputs import Inputs
    from bundler.installer.activation import Activation
    from bundler.installer.requirements import Requirements
    from bundler.lock.freshness import Fit
    from bundler.pack.decompressor import Decompressor
    from bundler.pack.payload import Payload
    from bundler.prefix import Prefix
    from bundler.progress import Progress
    from bundler.units.libraries import HostLibrary

_T = TypeVar("_T")
_NO_ZSTD = {
    CONDA_LOCK: "the lockfile has no zstd package (`conda-bundler lock` adds it if a channel has one)",
    EXPLICIT: "an @EXPLICIT file lists no dependencies, so the bundle cannot include a zstd program",
}
"""Why a bundle cannot include a decompressor, by the kind of lockfile."""

__all__ = ["BuildOptions", "build"]


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build; none of it changes the resulting release."""

    output: Path
    form: str = "tar"
    solver: str = "rattler"
    relock: bool = False
    lock_timeout: float = LOCK_TIMEOUT
    """Seconds."""
    compression: str | None = None
    """One of CODECS; None: zstd if the bundle can include a decompressor for it, else gzip."""
    jobs: int | None = None
    builder: str = LOCAL_BUILDER
    """A URI that identifies the builder in the provenance."""
    as_locked: bool = False
    """Use the lockfile without checking that it is up to date with the environment files."""


def build(config: BundleConfig, options: BuildOptions, progress: Progress) -> tuple[Bundle, ...]:
    """Build a bundle for each platform in ``options.output``. Raises any :class:`~bundler.errors.BundlerError`."""
    inputs = read_inputs(config, progress)
    config = replace(config, access=replace(config.access, own=user_urls(inputs.environments, config.channels)))
    lockfiles = replace(config.lockfiles, injected=inputs.injected)
    if not options.as_locked:
        _ensure_lockfile(config, inputs, options, progress)
    for note in (*health_notes(config), *socket_notes(config), *command_notes(config)):
        progress.step(f"note: {note}")
    locks = [read_lock(lockfiles, platform, config.categories) for platform in config.platforms]
    locks = [with_local(lock, inputs.local, f"{config.source}: bundle.inject", progress) for lock in locks]
    for lock in locks:
        _check_not_empty(config, lock)
        check_wheels(lock.packages, lock.path)
    check_names(config, lockfiles, locks)
    _check_link_scripts(config, lockfiles, locks)
    return tuple(_build_one(config, lock, inputs, options, progress) for lock in locks)


def _consent(config: BundleConfig) -> Consent:
    return Consent(
        packages=config.bundle.link_scripts,
        exclude=config.bundle.exclude,
        include=config.bundle.include,
        where=f"{config.source}: bundle.link_scripts",
    )


def _check_link_scripts(config: BundleConfig, lockfiles: Lockfiles, locks: list[Lock]) -> None:
    """Check them for all platforms together: a package may be locked for only some of them."""
    if config.bundle.link_scripts in ("all", ()):
        return
    others = (name for name in locked_platforms(lockfiles) if name in MACHINES and name not in config.platforms)
    every = [*locks, *(read_lock(lockfiles, platform, config.categories) for platform in others)]
    _consent(config).check_names({one.name for lock in every for one in lock.packages if one.manager == "conda"})


def _build_one(config: BundleConfig, lock: Lock, inputs: Inputs, options: BuildOptions, progress: Progress) -> Bundle:
    config = _for_platform(config, lock.platform, progress)
    identity = identify(config, lock, inputs)
    with workspace(options.output, identity) as room:
        brought = _decompressor(identity, config, lock, options, progress)
        options = replace(options, compression=options.compression or ("zstd" if brought else "gzip"))
        linking = functools.partial(
            make_prefix,
            progress=progress,
            access=config.access,
            owners=Owners.of(config.bundle.owners.items()),
            consent=_consent(config),
        )
        payload, archives, activation, libraries = _from_whole_cache(
            lambda: _pack(
                _licensed(linking(lock, baked=identity.baked_prefix), config, brought, progress),
                *(config, inputs, room, options, progress),
            ),
            progress,
        )
        needs = requirements(config, lock, archives, libraries)
        sbom = bundle_sbom(config, identity, lock, brought, payload.tree_digest)
        contents = _contents(config, identity, lock, payload, progress)
        manifest = make_manifest(
            config=config,
            identity=identity,
            contents=contents,
            payload=payload,
            decompressor=decompressor_entry(brought, _needs(config, brought).glibc) if brought else None,
            archives=archives,
            needs=needs,
            sbom=document_entry(SBOM, sbom),
        )
        lockfiles = {path.name: path.read_bytes() for path in files_for(config.lockfiles, lock.platform)}
        files = target_files(config, identity, contents, payload)
        files |= {path: text.encode() for path, text in activation.files().items()}
        files |= {**lockfiles, SBOM: sbom, **(brought.files if brought else {})}
        provenance = functools.partial(
            make_provenance,
            parameters_of(config, lock.platform, payload.codec),
            options.builder,
            dependencies_of(config, inputs, lock, payload, lockfiles),
        )
        files = whole_bundle(manifest, files, provenance)
        write_files(room, files)
        progress.step(f"Writing {identity.bundle_name}")
        return place(room, identity, options.output, form=options.form)


def _from_whole_cache(use: Callable[[], _T], progress: Progress) -> _T:
    """Call ``use``; if the package cache turns out to be damaged, unpack the archives again and repeat."""
    forgotten: set[str] = set()
    while True:
        try:
            return use()
        except DamagedCacheError as damage:
            if forgotten.issuperset(damage.packages):
                raise
            forgotten.update(damage.packages)
            progress.step(f"{damage.message} ({damage.where}); unpacking it again")
            for package in damage.packages:
                forget(package)


def _decompressor(
    identity: Identity, config: BundleConfig, lock: Lock, options: BuildOptions, progress: Progress
) -> Decompressor | None:
    """The zstd program for servers without one, if it is wanted and available."""
    if options.compression not in (None, "zstd"):
        return None
    try:
        tools = locked_decompressor(lock)
        if tools is None:
            raise UnusableError(_NO_ZSTD.get(kind_of(lock.path), "the lockfile has no zstd package"))
        # The decompressor runs in any directory; such a short prefix fits every package.
        brought = _from_whole_cache(
            lambda: _take(make_prefix(tools, identity.root, QuietProgress(), config.access)), progress
        )
        if not options.compression and not requirements(config, lock, ()).covers(_needs(config, brought)):
            raise UnusableError("the locked zstd package has stricter server requirements than the environment")
    except UnusableError as reason:
        instead = "servers must have zstd installed" if options.compression else "the payload is compressed with gzip"
        progress.step(f"note: {reason}; {instead}")
        return None
    return brought


def _take(linked: AbstractContextManager[Prefix]) -> Decompressor:
    with linked as prefix:
        return take_decompressor(prefix)


def _needs(config: BundleConfig, brought: Decompressor) -> Requirements:
    platform = brought.packages[0].platform
    return requirements(config, Lock(path=config.lockfile, platform=platform, packages=brought.packages), ())


def _pack(
    linked: AbstractContextManager[Prefix],
    config: BundleConfig,
    inputs: Inputs,
    room: Path,
    options: BuildOptions,
    progress: Progress,
) -> tuple[Payload, tuple[Archive, ...], Activation, tuple[HostLibrary, ...]]:
    """Link and pack."""
    with linked as prefix:
        payload = make_payload(prefix, inputs.app, room, _pack_options(config, options), progress)
        activation = _activation(config, inputs, prefix, payload, progress)
        return payload, prefix.archives, activation, _libraries(config, prefix, payload, progress)


@contextlib.contextmanager
def _licensed(
    linked: AbstractContextManager[Prefix], config: BundleConfig, brought: Decompressor | None, progress: Progress
) -> Iterator[Prefix]:
    """The same prefix, after checking the licenses of all that will be in the bundle."""
    with linked as prefix:
        packages = dict.fromkeys((*prefix.lock.packages, *(brought.packages if brought else ())))
        facts = ((package, facts_of(package)) for package in packages)
        said = ((package, about.license if about else "") for package, about in facts)
        for note in check_licenses(config.tables.licenses.policy(), said, where=config.source):
            progress.step(f"note: {note}")
        yield prefix


def _activation(
    config: BundleConfig, inputs: Inputs, prefix: Prefix, payload: Payload, progress: Progress
) -> Activation:
    shipped = {entry.path for entry in payload.tree}
    activation = read_activation(prefix.path, prefix.baked, shipped=shipped, variables=inputs.variables)
    for name in activation.unset:
        progress.step(f"note: activation unsets {name}; services get it only if you set it yourself")
    return activation.below(cache_variables(prefix.lock.names, config.name))


def _libraries(config: BundleConfig, prefix: Prefix, payload: Payload, progress: Progress) -> tuple[HostLibrary, ...]:
    libraries = host_libraries(config, payload, prefix)
    for note in library_notes(libraries, config):
        progress.step(f"note: {note}")
    return libraries


def _contents(config: BundleConfig, identity: Identity, lock: Lock, payload: Payload, progress: Progress) -> Contents:
    """What decides how the services are sandboxed, with notes about it."""
    contents = Contents(
        packages=lock.names, marks=find_marks(payload.tree, lock.platform), wrappers=find_wrappers(payload.tree)
    )
    overrides = override_notes(config, identity.release_dir, contents)
    for note in (
        *code_notes(contents.marks),
        *overrides,
        *sister_notes(config, contents),
        *ending_notes(config, contents),
    ):
        progress.step(f"note: {note}")
    return contents


def _pack_options(config: BundleConfig, options: BuildOptions) -> PackOptions:
    filters = Filters(exclude=config.bundle.exclude, include=config.bundle.include)
    codec = CODECS[options.compression or "gzip"]()
    return PackOptions(
        codec=codec,
        bytecode=config.bundle.bytecode,
        filters=filters,
        bundle=config.name,
        programs=tuple(render_programs().items()),
        jobs=options.jobs,
    )


def _for_platform(config: BundleConfig, platform: str, progress: Progress) -> BundleConfig:
    """The configuration for a platform, which may not be this machine's.

    Its Python cannot run here then, and a different build of the same version would make the bytecode depend on the
    build machine; so bytecode is compiled on the server. Like any other input, that is part of the build id.
    """
    if config.bundle.bytecode != "build" or runs_here(platform):
        return config
    progress.step(
        f"note: bytecode for {platform} is compiled on the server, because this machine cannot run that Python"
    )
    return config.with_bundle(bytecode="install")


def _ensure_lockfile(config: BundleConfig, inputs: Inputs, options: BuildOptions, progress: Progress) -> None:
    request = lock_request(
        config, options.solver, options.lock_timeout, texts=inputs.environments, injected=inputs.injected
    )
    fits = find_fits(request, replace(config.lockfiles, injected=request.injected))
    for note in (note for one in fits for note in one.notes):
        progress.step(f"note: {note}")
    stale = [one for one in fits if one.fits is False]
    if foreign := [one for one in stale if not one.ours]:
        raise StaleLockError(foreign[0].why, where=str(foreign[0].path), remedy=foreign[0].remedy)
    if not stale:
        return
    if config.lockfile.exists() and not options.relock:
        raise _stale(config, stale[0])
    progress.step(f"Locking {config.spec_name} for {', '.join(config.project_platforms)}")
    # Lock all platforms: building for one must not remove the others from the lockfile.
    write_lockfile(replace(request, platforms=config.project_platforms), progress, keep=True)


def _check_not_empty(config: BundleConfig, lock: Lock) -> None:
    if lock.packages:
        return
    found = locked_categories(config.lockfiles, lock.platform)
    others = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()) if count)
    raise ConfigError(
        f"the environment is empty: no packages are locked for {lock.platform} in category "
        f"{', '.join(config.categories)}"
        + (f"; these categories have packages: {others}" if others else " or in any other"),
        where=str(lock.path),
        remedy="Name a category in bundle.toml (bundle.categories) or with --category."
        if others
        else "Name what the service needs in environment.yml, and lock again: conda-bundler lock",
    )


def _stale(config: BundleConfig, found: Fit) -> StaleLockError:
    locked = locked_platforms(config.lockfiles)
    missing = [platform for platform in config.platforms if platform not in locked]
    return StaleLockError(
        f"not locked for {', '.join(missing)}, only for {', '.join(locked) or 'no platform at all'}"
        if missing
        else found.why,
        where=str(config.lockfile),
        remedy="Run `conda-bundler lock` and commit the result, or build with --relock.",
    )

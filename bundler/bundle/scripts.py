"""Generate install.sh and manage from the manifest, for building and for verifying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.bundle.assemble import INSTALL, SUMS
from bundler.installer.launcher import launchers
from bundler.installer.render import (
    InstallDecompressor,
    InstallScript,
    InstallService,
)
from bundler.installer.requirements import Requirements
from bundler.pack.decompressor import TOOLS
from bundler.platforms import RUNS_TOO
from bundler.units.newer import newer_directives
from bundler.units.read import UnitText
from bundler.units.sisters import sisters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.bundle.entries import DecompressorEntry
    from bundler.bundle.index import Manifest

__all__ = ["MADE_BY", "UNITS", "install_script", "launcher_texts"]

MADE_BY = "conda-bundler "
"""The prefix of the version."""
UNITS = "units/"
"""The directory of units in a bundle."""


def install_script(manifest: Manifest, digests: Mapping[str, str], units: Mapping[str, str]) -> InstallScript:
    """``digests`` are those of the bundle's files; install.sh contains all except its own and that of SHA256SUMS.

    ``units`` are the texts of those below :data:`UNITS`, by their paths in the bundle.
    """
    payload = manifest.payload
    named = {path.removeprefix(UNITS): text for path, text in units.items()}
    directives = {path: UnitText.parse(path, text).directives for path, text in named.items()}
    files = {path: digest for path, digest in digests.items() if path not in (INSTALL, SUMS, payload.path)}
    return InstallScript(
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        platform=manifest.platform,
        needs=_requirements(manifest),
        build_id=manifest.build_id,
        release=manifest.release,
        root=manifest.root,
        user=manifest.name,
        uid=manifest.uid,
        own_users=tuple(f"{entry.own_user}:{entry.uid or ''}" for entry in manifest.services if entry.own_user),
        sisters=sisters({service.name: directives.get(service.unit, ()) for service in manifest.services}),
        tool_version=manifest.made_by.removeprefix(MADE_BY),
        payload=payload.path,
        payload_sha256=payload.sha256,
        payload_parts=tuple((part.sha256, part.offset, part.length) for part in payload.parts),
        tree_digest=manifest.tree_digest,
        unpacked_sha256=payload.unpacked_sha256,
        payload_codec=payload.codec,
        payload_files=payload.installed_files,
        payload_kib=payload.installed_kib,
        longest=payload.longest,
        clients=payload.clients,
        units=tuple(sorted(path.removeprefix(UNITS) for path in files if path.startswith(UNITS))),
        newer=newer_directives(directives),
        networks=tuple(service.name for service in manifest.services if service.network is not None),
        services=tuple(
            InstallService(**started.model_dump()) for service in manifest.services for started in service.started
        ),
        secrets=tuple(entry.secret() for entry in manifest.secrets),
        files=tuple((digest, path) for path, digest in sorted(files.items())),
        decompressor=_decompressor(manifest.decompressor),
    )


def launcher_texts(manifest: Manifest, units: Mapping[str, str]) -> dict[str, str]:
    """The launchers of services and hooks, by their paths in the bundle, generated from the units."""
    started = (one.unit for service in manifest.services for one in service.started)
    return launchers((*started, *(hook.unit for hook in manifest.hooks)), units)


def _requirements(manifest: Manifest) -> Requirements:
    needs = manifest.requires
    return Requirements(
        machines=(needs.machine, *RUNS_TOO.get(manifest.platform, ())),
        glibc=needs.glibc,
        linux=needs.linux,
        level=needs.archspec,
        cuda=needs.cuda,
        cuda_arch=needs.cuda_arch,
        gpu=needs.gpu,
        libraries=tuple(entry.library() for entry in needs.libraries),
    )


def _decompressor(brought: DecompressorEntry | None) -> InstallDecompressor:
    if brought is None:
        return InstallDecompressor()
    return InstallDecompressor(
        program=brought.program, directory=TOOLS, loader=brought.loader, glibc=brought.glibc, kib=brought.kib
    )

"""Create the manifest (:class:`~bundler.bundle.index.Manifest`) of a build."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bundler import __version__
from bundler.bundle.entries import (
    DecompressorEntry,
    DocumentEntry,
    ExemptionEntry,
    FileEntry,
    HookEntry,
    LibraryEntry,
    NoteEntry,
    OverrideEntry,
    PackageEntry,
    PartEntry,
    PayloadEntry,
    RequiresEntry,
    ScriptEntry,
    SecretEntry,
    SegmentEntry,
    ServiceEntry,
    SharedEntry,
    SocketEntry,
    StartedEntry,
    ToolPackage,
)
from bundler.bundle.identity import counted
from bundler.bundle.index import SCHEMA, Manifest
from bundler.config.users import user_of
from bundler.installer.installed import install_services
from bundler.installer.render import CLIENTS
from bundler.resources import templates_digest
from bundler.units.context import UnitContext
from bundler.units.sandbox import GPU, WATCH, exemptions
from bundler.units.service import overridden

if TYPE_CHECKING:
    from bundler.bundle.identity import Identity
    from bundler.config.project import BundleConfig
    from bundler.config.services import Service
    from bundler.fetch.archives import Archive
    from bundler.installer.requirements import Requirements
    from bundler.pack.archive import WrittenSegment
    from bundler.pack.contents import Content
    from bundler.pack.decompressor import Decompressor
    from bundler.pack.payload import Payload
    from bundler.units.contents import Contents

__all__ = ["SCHEMA", "SYSTEMD", "make_manifest"]

SYSTEMD = 239
"""The minimum version of systemd for installing a bundle, which install.sh checks in its preflight."""
_LARGEST = 20
_AT_THE_TOP = ("name", "uid", "version", "description")


def make_manifest(  # noqa: PLR0913 -- what a build consists of
    *,
    config: BundleConfig,
    identity: Identity,
    contents: Contents,
    payload: Payload,
    decompressor: DecompressorEntry | None,
    archives: tuple[Archive, ...],
    needs: Requirements,
    sbom: DocumentEntry | None,
) -> Manifest:
    """The manifest of the bundle."""
    return Manifest(
        schema_=SCHEMA,
        made_by=f"conda-bundler {__version__}",
        templates_sha256=templates_digest(),
        name=config.name,
        uid=config.bundle.uid,
        version=config.version,
        description=config.description,
        platform=identity.platform,
        build_id=identity.build_id,
        release=identity.release,
        root=identity.root,
        baked_prefix=identity.baked_prefix,
        tree_digest=payload.tree_digest,
        payload=_payload(payload),
        decompressor=decompressor,
        requires=_requires(needs),
        options=_options(config),
        config=dict(config.config),
        secrets=tuple(map(SecretEntry.of, config.secrets)),
        services=tuple(_service(config, service, identity, contents) for service in config.services),
        hooks=tuple(
            HookEntry(
                key=hook.key,
                unit=hook.unit,
                service=hook.service.unit,
                command=hook.table.command,
                timeout=hook.table.timeout,
            )
            for hook in config.hooks
        ),
        packages=tuple(map(_package, archives)),
        sbom=sbom,
        notes=tuple(map(NoteEntry.of, payload.notes)),
        shared=tuple(map(SharedEntry.of, payload.shared)),
        link_scripts=tuple(
            ScriptEntry(
                package=done.package,
                script=done.script,
                added=done.added,
                changed=done.changed,
                removed=done.removed,
            )
            for done in payload.effects
        ),
    )


def _options(config: BundleConfig) -> dict[str, Any]:
    return {key: value for key, value in counted(config.bundle).items() if key not in _AT_THE_TOP}


def _payload(payload: Payload) -> PayloadEntry:
    executables = payload.executables()
    # The largest files, for those who wonder why a bundle is large.
    largest = sorted(payload.tree, key=lambda entry: (-entry.size, entry.path))[:_LARGEST]
    return PayloadEntry(
        path=payload.path.name,
        bytecode=payload.bytecode,
        codec=payload.codec,
        sha256=payload.sha256,
        size=payload.size,
        files=len(payload.tree),
        unpacked_size=payload.unpacked_size,
        unpacked_sha256=payload.unpacked_sha256,
        largest=tuple(FileEntry(path=entry.path, size=entry.size) for entry in largest),
        segments=tuple(_segment(*one) for one in zip(payload.archive.segments, payload.contents, strict=True)),
        parts=tuple(map(PartEntry.of, payload.archive.parts)),
        installed_files=payload.installed_files,
        installed_kib=payload.installed_kib,
        longest=payload.longest or 0,
        clients=tuple(name for name in CLIENTS if f"env/bin/{name}" in executables),
    )


def _segment(written: WrittenSegment, content: Content) -> SegmentEntry:
    return SegmentEntry(**asdict(written), id=content.id, files=len(content.entries), kib=content.kib)


def decompressor_entry(brought: Decompressor, glibc: str) -> DecompressorEntry:
    """The entry for the bundle's own decompressor, which needs at least that version of glibc."""
    return DecompressorEntry(
        program=brought.program,
        loader=brought.loader,
        glibc=glibc,
        kib=brought.kib,
        files=tuple(sorted(brought.files)),
        packages=tuple(
            ToolPackage(name=one.name, version=one.version, build=one.build, url=one.url, sha256=one.sha256 or "")
            for one in brought.packages
        ),
    )


def _requires(needs: Requirements) -> RequiresEntry:
    return RequiresEntry(
        machine=needs.machines[0],
        glibc=needs.glibc,
        linux=needs.linux,
        archspec=needs.level,
        cuda=needs.cuda,
        cuda_arch=needs.cuda_arch,
        gpu=needs.gpu,
        systemd=SYSTEMD,
        libraries=tuple(map(LibraryEntry.of, needs.libraries)),
    )


def _service(config: BundleConfig, service: Service, identity: Identity, contents: Contents) -> ServiceEntry:
    context = UnitContext(config=config, service=service, release=identity.release_dir, contents=contents)
    table = service.table
    return ServiceEntry(
        unit=service.unit,
        own_user=user_of(config, service) if table.own_user else "",
        uid=table.uid,
        health_unit=service.health_unit,
        health=table.health.model_dump() if table.health else None,
        timer=service.timer,
        socket=SocketEntry(unit=service.socket_unit, listen=service.socket.listen)
        if service.socket and service.socket_unit
        else None,
        target=service.target,
        instances=table.instances,
        reload=table.reload,
        watch_unit=service.watch_unit,
        gpu_unit=service.gpu_unit,
        profile=table.profile,
        hardening=table.hardening,
        network=table.network,
        started=tuple(map(StartedEntry.of, install_services(service))),
        exemptions=tuple(map(ExemptionEntry.of, exemptions(service, contents))),
        overrides=tuple(map(OverrideEntry.of, overridden(context))),
        watch_exemptions=tuple(map(ExemptionEntry.of, WATCH)) if service.watch_unit else (),
        gpu_exemptions=tuple(map(ExemptionEntry.of, GPU)) if service.gpu_unit else (),
    )


def _package(archive: Archive) -> PackageEntry:
    package = archive.package
    return PackageEntry(
        name=package.name,
        manager=package.manager,
        version=package.version,
        build=package.build,
        subdir=package.subdir if package.manager == "conda" else "",
        url=package.url,
        sha256=package.sha256 or "",  # packed ones have one
        size=archive.size,
        injected=package.injected,
        replaces=package.replaces,
    )

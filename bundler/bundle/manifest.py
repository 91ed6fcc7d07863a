"""The manifest: ``manifest.json``, the bundle's index. Versioned schema, sorted keys, nothing of the build machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bundler import __version__
from bundler.resources import templates_digest
from bundler.target.hardening import GPU, WATCH, exemptions
from bundler.target.service import overridden

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.bundle.identity import Identity
    from bundler.config.project import BundleConfig
    from bundler.fetch.archives import Archive
    from bundler.pack.decompressor import Decompressor
    from bundler.pack.payload import Payload
    from bundler.target.contents import Contents
    from bundler.target.requirements import Requirements

__all__ = ["SCHEMA", "SYSTEMD", "make_manifest"]

SCHEMA = 1
"""Raised when a reader of the one before would go wrong; a further key is none of its business."""
SYSTEMD = 239
"""The lowest version that a bundle can be installed under; install.sh says so in its preflight."""
_LARGEST = 20


def make_manifest(
    *,
    config: BundleConfig,
    identity: Identity,
    contents: Contents,
    payload: Payload,
    archives: tuple[Archive, ...],
    needs: Requirements,
) -> str:
    """The manifest's text."""
    document = {
        "schema": SCHEMA,
        "made_by": f"conda-bundler {__version__}",
        "templates_sha256": templates_digest(),
        "name": config.name,
        "version": config.version,
        "description": config.description,
        "uid": config.uid,
        "platform": identity.platform,
        "build_id": identity.build_id,
        "release": identity.release,
        "root": identity.root,
        "baked_prefix": identity.baked_prefix,
        "tree_digest": payload.tree_digest,
        "payload": {
            "path": payload.path.name,
            "bytecode": payload.bytecode,
            "codec": payload.codec,
            "sha256": payload.sha256,
            "size": payload.size,
            "files": len(payload.tree),
            "unpacked_size": payload.unpacked_size,
            "unpacked_sha256": payload.unpacked_sha256,
            "largest": _largest(payload),
            "segments": [asdict(segment) for segment in payload.archive.segments],
            "parts": [asdict(part) for part in payload.archive.parts],
        },
        "decompressor": _decompressor(payload.decompressor),
        "requires": {**needs.document(), "systemd": SYSTEMD},
        "options": {"exclude": config.exclude, "include": config.include},
        "config": dict(config.config),
        "secrets": [asdict(secret) for secret in config.secrets],
        "services": _services(config, identity, contents),
        "hooks": [
            {"key": hook.key, "unit": hook.unit, "service": hook.service.unit, **hook.table.model_dump()}
            for hook in config.hooks
        ],
        "packages": _packages(archives),
        "notes": [asdict(note) for note in payload.notes],
        "shared": [asdict(one) for one in payload.shared],
        "link_scripts": [done.document() for done in payload.effects],
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _largest(payload: Payload) -> list[dict[str, Any]]:
    """The payload's largest files, in bytes: where to look when a bundle is too large."""
    largest = sorted(payload.tree, key=lambda entry: (-entry.size, entry.path))[:_LARGEST]
    return [{"path": entry.path, "size": entry.size} for entry in largest]


def _decompressor(brought: Decompressor | None) -> dict[str, Any] | None:
    if brought is None:
        return None
    packages = [
        {"name": one.name, "version": one.version, "build": one.build, "url": one.url, "sha256": one.sha256}
        for one in brought.packages
    ]
    return {"program": brought.program, "files": sorted(brought.files), "packages": packages}


def _services(config: BundleConfig, identity: Identity, contents: Contents) -> list[dict[str, Any]]:
    return [
        {
            "unit": service.unit,
            "health_unit": service.health_unit,
            "health": service.table.health.model_dump() if service.table.health else None,
            "timer": service.timer,
            "socket": {"unit": service.socket_unit, "listen": service.socket.listen} if service.socket else None,
            "target": service.target,
            "instances": service.table.instances,
            "reload": service.table.reload,
            "watch_unit": service.watch_unit,
            "gpu_unit": service.gpu_unit,
            "profile": service.table.profile,
            "hardening": service.table.hardening,
            "exemptions": [asdict(exemption) for exemption in exemptions(service, contents)],
            "overrides": [asdict(one) for one in overridden(config, service, identity.release_dir, contents)],
            "watch_exemptions": [asdict(exemption) for exemption in WATCH] if service.watch_unit else [],
            "gpu_exemptions": [asdict(exemption) for exemption in GPU] if service.gpu_unit else [],
        }
        for service in config.services
    ]


def _packages(archives: Iterable[Archive]) -> list[dict[str, Any]]:
    return [
        {
            "name": archive.package.name,
            "manager": archive.package.manager,
            "version": archive.package.version,
            "build": archive.package.build,
            "subdir": archive.package.subdir if archive.package.manager == "conda" else "",
            "url": archive.package.url,
            "sha256": archive.package.sha256,
            "size": archive.size,
            "injected": archive.package.injected,
            "replaces": archive.package.replaces,
        }
        for archive in archives
    ]

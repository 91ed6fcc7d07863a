"""The files of a bundle other than its payload, by their paths: units, settings, documents, install.sh."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bundler.bundle.assemble import INSTALL, MANAGE, SUMS, checksums
from bundler.bundle.entries import DocumentEntry
from bundler.bundle.provenance import PROVENANCE
from bundler.bundle.scripts import UNITS, install_script, launcher_texts
from bundler.bundle.segmentlist import SEGMENTS, segment_list
from bundler.installer.installed import service_files
from bundler.installer.render import render_environment, render_install, render_manage, render_unit
from bundler.units.service import make_units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundler.bundle.identity import Identity
    from bundler.bundle.index import Manifest
    from bundler.config.project import BundleConfig
    from bundler.pack.payload import Payload
    from bundler.units.contents import Contents

__all__ = ["document_entry", "target_files", "whole_bundle"]


def target_files(config: BundleConfig, identity: Identity, contents: Contents, payload: Payload) -> dict[str, bytes]:
    """Units and environment files."""
    units = make_units(config, identity.release_dir, payload.executables(), contents)
    texts = {f"units/{unit.name}": render_unit(unit) for unit in units}
    texts[f"config/{config.name}.env"] = render_environment(
        config.config, comment=f"Defaults of {config.name}; override them in /etc/{config.name}/{config.name}.env"
    )
    texts |= service_files(config, identity.release_dir, contents.packages)
    return {path: text.encode() for path, text in texts.items()}


def document_entry(path: str, content: bytes) -> DocumentEntry:
    """The manifest's entry for a document."""
    return DocumentEntry(path=path, sha256=hashlib.sha256(content).hexdigest())


def whole_bundle(
    manifest: Manifest, files: Mapping[str, bytes], provenance: Callable[[Mapping[str, str]], bytes]
) -> dict[str, bytes]:
    """``files``, and those generated from them: launchers, the list of segments, the provenance, the manifest, which
    names it, and the programs.

    ``provenance`` gets the digests of all files that do not depend on it.
    """
    files = {**files, **_launchers(manifest, files), SEGMENTS: segment_list(manifest.payload)}
    document = provenance({**_digests(files), manifest.payload.path: manifest.payload.sha256})
    manifest = manifest.model_copy(update={"provenance": document_entry(PROVENANCE, document)})
    files |= {PROVENANCE: document}
    # JSON has an escape for each byte of a name that is not UTF-8.
    files |= {"manifest.json": manifest.text().encode("utf-8", "backslashreplace")}
    return files | _installer(manifest, files)


def _launchers(manifest: Manifest, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The launchers of services on servers without systemd."""
    return {path: text.encode() for path, text in launcher_texts(manifest, _units(files)).items()}


def _units(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: content.decode() for path, content in files.items() if path.startswith(UNITS)}


def _installer(manifest: Manifest, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """manage, install.sh, which contains the digests of all other files, and SHA256SUMS, for sha256sum(1)."""
    digests, units = _digests(files), _units(files)
    manage = render_manage(install_script(manifest, digests, units)).encode()
    digests |= {MANAGE: hashlib.sha256(manage).hexdigest()}
    install = render_install(install_script(manifest, digests, units)).encode()
    digests |= {INSTALL: hashlib.sha256(install).hexdigest(), manifest.payload.path: manifest.payload.sha256}
    return {MANAGE: manage, INSTALL: install, SUMS: checksums(digests)}


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}

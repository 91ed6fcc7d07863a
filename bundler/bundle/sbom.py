"""The SBOM of a bundle that is being built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.about.read import facts_of
from bundler.sbom.subject import Subject

if TYPE_CHECKING:
    from bundler.bundle.identity import Identity
    from bundler.config.project import BundleConfig
    from bundler.locked import Lock
    from bundler.pack.decompressor import Decompressor

__all__ = ["SBOM", "bundle_sbom"]

SBOM = "sbom.cdx.json"
"""Its name in the bundle."""


def bundle_sbom(
    config: BundleConfig, identity: Identity, lock: Lock, brought: Decompressor | None, tree_digest: str
) -> bytes:
    """The SBOM of the bundle, from its packages' archives; ``tree_digest`` is that of its payload."""
    from bundler.sbom.document import make_sbom

    locked = set(lock.packages)
    tools = tuple(package for package in (brought.packages if brought else ()) if package not in locked)
    return make_sbom(
        Subject(
            name=config.name,
            version=config.version,
            platform=identity.platform,
            phase="build",
            packages=lock.packages,
            facts={package: facts_of(package) for package in (*lock.packages, *tools)},
            tools=tools,
            description=config.description,
            author=config.bundle.author,
            properties=(
                ("release", identity.release),
                ("build-id", identity.build_id),
                ("tree-digest", f"sha256:{tree_digest}"),
            ),
        )
    )

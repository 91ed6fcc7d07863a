"""What a build is called: its build id, its release, the prefix that it is baked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bundler import __version__
from bundler.digests import stream_sha256
from bundler.resources import templates_digest
from bundler.target.activation import spec_variables

if TYPE_CHECKING:
    from bundler.config.project import BundleConfig
    from bundler.lock.lockfile import Lock
    from bundler.pack.members import Member

__all__ = ["Identity", "identify"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Design section 1: the build id is over every input that can change the output, never over output bytes."""

    name: str
    version: str
    platform: str
    build_id: str
    root: str

    @property
    def release(self) -> str:
        return f"{self.version}-{self.build_id}"

    @property
    def release_dir(self) -> str:
        """The release's absolute path on the target."""
        return f"{self.root}/releases/{self.release}"

    @property
    def baked_prefix(self) -> str:
        return f"{self.release_dir}/env"

    @property
    def bundle_name(self) -> str:
        """The bundle's directory, and its file without the suffix."""
        return f"{self.name}-{self.version}-{self.platform}"


def identify(config: BundleConfig, lock: Lock, app: tuple[Member, ...]) -> Identity:
    """The identity of the build of these inputs."""
    inputs = {
        "tool": __version__,
        "templates": templates_digest(),
        "config": _semantic(config),
        "variables": spec_variables(config.environments, config.categories),
        "lock": [asdict(package) for package in lock.packages],
        "cuda": config.platform_table(lock.platform).cuda,
        "app": sorted((member.path, member.mode, _content(member)) for member in app),
    }
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return Identity(
        name=config.name,
        version=config.version,
        platform=lock.platform,
        build_id=hashlib.sha256(canonical.encode()).hexdigest()[:12],
        root=config.root,
    )


def _semantic(config: BundleConfig) -> dict[str, Any]:
    """What the configuration means, without where it lies. Order counts where systemd sees it."""
    return {
        "name": config.name,
        "version": config.version,
        "description": config.description,
        **({"uid": config.uid} if config.uid is not None else {}),
        "exclude": config.exclude,
        "include": config.include,
        "owners": config.owners,
        "bytecode": config.bytecode,
        "link_scripts": "all" if config.link_scripts == "all" else sorted(set(config.link_scripts)),
        "libraries": config.libraries,
        "config": config.config,
        "secrets": [asdict(secret) for secret in config.secrets],
        "release": config.release.model_dump(mode="json"),
        **({"hooks": config.hooks_table.model_dump(mode="json")} if config.hooks else {}),
        "services": [(service.name, service.table.model_dump(mode="json")) for service in config.services],
    }


def _content(member: Member) -> str:
    if member.link is not None:
        return f"-> {member.link}"
    if member.is_directory:
        return ""
    with member.open() as file:
        return stream_sha256(file)

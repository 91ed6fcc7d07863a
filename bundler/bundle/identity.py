"""The identity of a build: its build id, its release, and its baked prefix."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from bundler import __version__
from bundler.config.fields import NotInBuildId
from bundler.digests import stream_sha256
from bundler.resources import templates_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.config.project import BundleConfig
    from bundler.inputs import Inputs
    from bundler.locked import Lock
    from bundler.pack.members import Member

__all__ = ["Identity", "counted", "identify"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The build id is a digest of every input that can change the output, never of the output."""

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
        """The release's absolute path on the server."""
        return f"{self.root}/releases/{self.release}"

    @property
    def baked_prefix(self) -> str:
        return f"{self.release_dir}/env"

    @property
    def bundle_name(self) -> str:
        """The name of the bundle's directory, and of its file without the suffix."""
        return f"{self.name}-{self.version}-{self.platform}"


def identify(config: BundleConfig, lock: Lock, inputs: Inputs) -> Identity:
    """The identity of a build with these inputs."""
    counting = {
        "tool": __version__,
        "templates": templates_digest(),
        "config": counted(config),
        "platform": lock.platform,
        "servers": counted(config.platform_table(lock.platform)),
        "variables": inputs.variables,
        "lock": [asdict(package) for package in lock.packages],
        "app": sorted((member.path, member.mode, _content(member)) for member in inputs.app),
    }
    canonical = json.dumps(counting, sort_keys=True, separators=(",", ":"))
    return Identity(
        name=config.name,
        version=config.version,
        platform=lock.platform,
        build_id=hashlib.sha256(canonical.encode()).hexdigest()[:12],
        root=config.root,
    )


def counted(value: Any) -> Any:
    """The part of the configuration that counts for the build id, as JSON: all fields except :class:`NotInBuildId`.

    A table becomes a list of pairs, since systemd sees their order; keys for which it does not matter are declared so
    that they are sorted. Raises TypeError for values that cannot be part of it, such as paths.
    """
    if isinstance(value, BaseModel):
        infos = type(value).model_fields
        return {name: counted(getattr(value, name)) for name, info in infos.items() if not _is_marked(info.metadata)}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: counted(getattr(value, one.name))
            for one in fields(value)
            if not _is_marked(one.metadata.values())
        }
    if isinstance(value, dict):
        return [[key, counted(one)] for key, one in value.items()]
    if isinstance(value, tuple):
        return [counted(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__} cannot be part of a build id; mark its field with NotInBuildId")


def _is_marked(metadata: Iterable[object]) -> bool:
    return any(isinstance(one, NotInBuildId) for one in metadata)


def _content(member: Member) -> str:
    if member.link is not None:
        return f"-> {member.link}"
    if member.is_directory:
        return ""
    with member.open() as file:
        return stream_sha256(file)

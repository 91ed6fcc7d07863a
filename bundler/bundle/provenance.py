"""The provenance of a bundle: an in-toto Statement (v1) with SLSA's provenance (v1), ``provenance.json``.

Written and read with the same models. It lists a build's inputs with their digests, its options, and the resulting
files. It contains no data of the build machine, such as paths, names or times: the same inputs yield the same bytes.
Format: in-toto's "Statement" and "ResourceDescriptor", SLSA's "Provenance v1".
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bundler import __version__
from bundler.bundle.index import COPY_AGAIN
from bundler.bundle.intoto import Part, Resource, StatementType
from bundler.errors import VerificationError
from bundler.foreign import from_json
from bundler.pack.members import tree_digest
from bundler.resources import code_digest, templates_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bundler.config.project import BundleConfig
    from bundler.inputs import Inputs
    from bundler.locked import Lock
    from bundler.pack.payload import Payload

__all__ = [
    "APP",
    "LOCAL_BUILDER",
    "PROVENANCE",
    "WITHOUT_SUBJECT",
    "Parameters",
    "Resource",
    "Statement",
    "dependencies_of",
    "make_provenance",
    "parameters_of",
    "read_provenance",
    "told",
]

PROVENANCE = "provenance.json"
"""Its name in the bundle."""
LOCAL_BUILDER = "urn:conda-bundler:builder:local"
"""The default builder."""
APP = "app/"
"""The name of all files in ``[files]`` among the inputs."""
WITHOUT_SUBJECT = frozenset({PROVENANCE, "manifest.json", "manage", "install.sh", "SHA256SUMS"})
"""Files that depend on its digest, directly or not; all other files of a bundle are its subjects."""
_TREE = "tree_sha256"
"""The digest of several files: over the mode, digest and path of each."""
_WRITERS = (
    *("conda-pack", "cyclonedx-python-lib", "deflate", "installer", "jinja2", "license-expression"),
    *("packageurl-python", "packaging", "py-rattler", "zstandard"),
)
"""Our dependencies that affect the bundle's content; all others are used only for locking, checks and messages."""


class Parameters(Part):
    """``externalParameters``: the options of a build, which suffice to rebuild it from its files.

    ``source`` is ``bundle.toml`` or ``command line``; ``version`` and ``command`` are those on the command line, and
    empty if they are in bundle.toml.
    """

    platform: str
    source: str
    name: str
    version: str = ""
    command: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    compression: Literal["gzip", "zstd", "xz", "none"]
    source_date_epoch: int | None = None


class BuildDefinition(Part):
    build_type: Literal["urn:conda-bundler:build:1"]
    external_parameters: Parameters
    resolved_dependencies: tuple[Resource, ...]


class Builder(Part):
    id: Annotated[str, Field(min_length=1)]
    version: dict[str, str] = Field(default_factory=dict)


class RunDetails(Part):
    builder: Builder


class Provenance(Part):
    """The predicate."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(Part):
    """The whole statement."""

    type: StatementType
    subject: Annotated[tuple[Resource, ...], Field(min_length=1)]
    predicate_type: Literal["https://slsa.dev/provenance/v1"]
    predicate: Provenance

    @property
    def parameters(self) -> Parameters:
        return self.predicate.build_definition.external_parameters

    @property
    def dependencies(self) -> tuple[Resource, ...]:
        return self.predicate.build_definition.resolved_dependencies

    @property
    def builder(self) -> str:
        return self.predicate.run_details.builder.id

    @property
    def environments(self) -> tuple[str, ...]:
        """The environment files, by their paths below the project's directory."""
        return tuple(one.name for one in self.dependencies if one.annotations.get("role") == "environment")

    def text(self) -> str:
        """The file's content."""
        document = self.model_dump(by_alias=True, exclude_defaults=True)
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def make_provenance(
    parameters: Parameters, builder: str, dependencies: tuple[Resource, ...], digests: Mapping[str, str]
) -> bytes:
    """The document; ``digests`` are those of the bundle's files, by path."""
    subject = (Resource(name=name, digest={"sha256": digests[name]}) for name in sorted(digests))
    statement = Statement(
        type="https://in-toto.io/Statement/v1",
        subject=tuple(one for one in subject if one.name not in WITHOUT_SUBJECT),
        predicate_type="https://slsa.dev/provenance/v1",
        predicate=Provenance(
            build_definition=BuildDefinition(
                build_type="urn:conda-bundler:build:1",
                external_parameters=parameters,
                resolved_dependencies=dependencies,
            ),
            run_details=RunDetails(builder=Builder(id=builder, version={"conda-bundler": __version__})),
        ),
    )
    return statement.text().encode()


def parameters_of(config: BundleConfig, platform: str, compression: str) -> Parameters:
    """The options of a build."""
    given = config.given
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return Parameters.model_validate(
        {
            "platform": platform,
            "source": config.source,
            "name": config.name,
            "version": given.version or "",
            "command": given.command,
            "categories": given.categories,
            "compression": compression,
            "source_date_epoch": None if epoch is None else int(epoch),
        }
    )


def dependencies_of(
    config: BundleConfig, inputs: Inputs, lock: Lock, payload: Payload, lockfiles: Mapping[str, bytes]
) -> tuple[Resource, ...]:
    """The inputs; the locked packages are named by the lockfile's digest."""
    app = [entry for entry in payload.tree if entry.path.startswith(APP)]
    return (
        *([_file("configuration", config.source, config.source_sha256)] if config.source_sha256 else []),
        *(
            _file("environment", told(path, config.directory), _sha256(content))
            for path, content in inputs.environments
        ),
        *(_file("lockfile", name, _sha256(content)) for name, content in sorted(lockfiles.items())),
        Resource(
            name=APP,
            digest={_TREE: tree_digest(app)},
            annotations={"role": "files", "files": len(app), "bytes": sum(entry.size for entry in app)},
        ),
        *(_file("injected", package.filename, package.sha256 or "") for package in lock.packages if package.injected),
        *_tools(),
    )


def read_provenance(content: bytes, *, where: str) -> Statement:
    """Parse provenance.json. Raises :class:`VerificationError` if it is invalid."""
    try:
        return from_json(Statement, content)
    except ValueError as error:
        raise VerificationError(f"{PROVENANCE} is invalid: {error}", where=where, remedy=COPY_AGAIN) from error


def _tools() -> Iterator[Resource]:
    yield Resource(
        name="conda-bundler",
        uri=f"pkg:pypi/conda-bundler@{__version__}",
        digest={_TREE: hashlib.sha256(f"{code_digest()} {templates_digest()}".encode()).hexdigest()},
        annotations={"role": "tool"},
    )
    for name in _WRITERS:
        version = importlib.metadata.version(name)
        yield Resource(name=name, uri=f"pkg:pypi/{name}@{version}", annotations={"role": "tool"})


def _file(role: str, name: str, sha256: str) -> Resource:
    return Resource(name=name, digest={"sha256": sha256}, annotations={"role": role})


def told(path: Path, directory: Path) -> str:
    """A path relative to the project's directory; for any other path only the name, since the rest is local."""
    return path.relative_to(directory).as_posix() if path.is_relative_to(directory) else path.name


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

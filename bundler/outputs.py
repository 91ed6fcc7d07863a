"""Models of the output of ``--json``, from which ``conda-bundler schema COMMAND`` generates the JSON schemas.

Each document has its schema with the version in ``$schema``. The version is increased for incompatible changes: a key
is removed, or its meaning changes. New keys do not increase it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from bundler.audit.report import GATES, Audit
from bundler.bundle.entries import Count, PackageEntry, PayloadEntry, RequiresEntry
from bundler.bundle.index import Manifest
from bundler.commandline.group import output_id
from bundler.doctor import Finding
from bundler.reader.verify import Verification
from bundler.smoke.report import ServiceReport, SmokeReport

__all__ = ["OUTPUTS", "output_schema"]


class _Output(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class _Init(_Output):
    """The files that were written."""

    written: list[str]


class _CheckedLockfile(_Output):
    path: str
    fresh: Annotated[bool | None, Field(description="null if it cannot be known without locking again.")]
    why: str


class _Locked(_Output):
    """`lock`: how many packages are locked for each platform."""

    lockfile: str
    packages: dict[str, Count]


class _Checked(_Output):
    """`lock --check`, if nothing is out of date; else it prints an error."""

    lockfile: str
    fresh: Literal[True] | None
    notes: list[str]
    lockfiles: list[_CheckedLockfile]


class _Built(_Output):
    path: str
    sha256: Annotated[str | None, Field(description="Of the file; null for a directory.")]
    size: Count
    name: str
    version: str
    platform: str
    release: str


class _Build(_Output):
    """One bundle for each platform."""

    bundles: list[_Built]


class _Exception(_Output):
    directive: str
    stands: str
    reason: str


class _Unit(_Output):
    name: str
    directives: Annotated[list[tuple[str, str, str]], Field(description="Section, directive, value.")]
    confinement: list[tuple[str, str]]
    exceptions: list[_Exception]


class _File(_Output):
    path: str
    size: Count


class _Inspect(Manifest):
    """The manifest, without the payload's segments, and what was found beside it. Sizes are in bytes."""

    bundle: str
    form: Literal["tar", "run", "dir"]
    size: Count
    units: list[_Unit]
    files: list[_File]


class _Sbom(_Output):
    """`sbom`: the SBOM, and the file that it was written to, if it was."""

    output: str | None
    notes: list[str]
    sbom: Annotated[dict[str, Any], Field(description="CycloneDX, whose own schema describes it.")]


class _Provenance(_Output):
    """`provenance`: the statement in the bundle, and the file that it was written to, if it was."""

    output: str | None
    provenance: Annotated[dict[str, Any], Field(description="An in-toto Statement (v1) with SLSA provenance (v1).")]


class _Change(_Output):
    name: str
    kind: Literal["added", "removed", "changed"]
    old: str | None
    new: str | None


class _Text(_Output):
    path: str
    lines: list[str]


class _Sizes(_Output):
    old: Count
    new: Count


class _Update(_Output):
    """How many packages, of how many, and their size with all else that changes, in bytes."""

    packages: Count
    of: Count
    size: Count


class _Diff(_Output):
    """What changes from the old bundle to the new one."""

    old: str
    new: str
    different: bool
    same_tree: bool
    options: list[_Change]
    packages: list[_Change]
    shared: list[_Change]
    config: list[_Change]
    secrets: list[_Change]
    app: list[_Change]
    texts: list[_Text]
    update: Annotated[_Update | None, Field(description="What an update would carry; null: it cannot be known.")]
    sizes: dict[str, _Sizes]


class _Completion(_Output):
    shell: Literal["bash", "zsh", "fish"]
    script: str


class _Signed(_Output):
    bundle: str
    statement: str
    signatures: str
    count: int


class _Docs(_Output):
    url: str


class _Doctor(_Output):
    """``ready`` says for each purpose whether nothing that it needs is missing."""

    ready: dict[str, bool]
    findings: list[Finding]


class _Problem(_Output):
    kind: str
    exit_code: int
    message: str
    where: str | None
    remedy: str | None


class _Error(_Output):
    """Printed by any command that fails."""

    error: _Problem


class _Event(_Output):
    """One line of `--progress json`: see docs/reference/command-line.md."""

    v: Literal[1]
    event: Literal["step", "note", "begin", "progress", "end", "waiting", "log", "error"]
    seconds: float
    text: str | None = None
    task: int | None = None
    total: int | None = None
    done: int | None = None
    bytes: int | None = None
    kind: str | None = None
    exit_code: int | None = None
    message: str | None = None
    where: str | None = None
    remedy: str | None = None


_Lock: TypeAlias = _Locked | _Checked
OUTPUTS: dict[str, Any] = {
    "audit": Audit,
    "build": _Build,
    "completion": _Completion,
    "diff": _Diff,
    "docs": _Docs,
    "doctor": _Doctor,
    "error": _Error,
    "init": _Init,
    "inspect": _Inspect,
    "lock": _Lock,
    "progress": _Event,
    "provenance": _Provenance,
    "sbom": _Sbom,
    "sign": _Signed,
    "smoke": SmokeReport,
    "verify": Verification,
}
"""By command; ``error`` is what any of them prints when it fails, ``progress`` a line of ``--progress json``."""
_PROPERTIES: dict[str, dict[str, dict[str, Any]]] = {
    "audit": {
        "": {
            "fail_on": {"enum": list(GATES)},
            "require_coverage": {"type": "boolean"},
            "failed": {"type": "boolean"},
        }
    },
    "verify": {"": {"verified": {"const": True}}},
    "inspect": {
        PackageEntry.__name__: {"channel": {"type": "string"}, "packed": {"type": "integer", "minimum": 0}},
        RequiresEntry.__name__: {"tools": {"type": "array", "items": {"type": "string"}}},
    },
    "smoke": {"": {"healthy": {"type": "boolean"}}, ServiceReport.__name__: {"healthy": {"type": "boolean"}}},
}
"""What ``document()`` adds to the fields of a model or dataclass."""


def output_schema(name: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of what a command prints."""
    document = TypeAdapter(OUTPUTS[name]).json_schema(mode="validation", by_alias=True)
    for definition, properties in _PROPERTIES.get(name, {}).items():
        place = document["$defs"][definition] if definition else document
        place["properties"] |= properties
        place["required"] = [*place.get("required", ()), *properties]
    if name == "inspect":
        payload = document["$defs"][PayloadEntry.__name__]
        del payload["properties"]["segments"]
        payload["required"].remove("segments")
        document["$defs"].pop("SegmentEntry")
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": output_id(name)}
    if name == "progress":
        return head | document
    known = {"$schema": {"const": output_id(name)}}
    for one in _alternatives(document):
        one["properties"] = known | one["properties"]
        one["required"] = ["$schema", *one.get("required", ())]
    return head | document


def _alternatives(document: dict[str, Any]) -> list[dict[str, Any]]:
    if "anyOf" not in document:
        return [document]
    return [document["$defs"][one["$ref"].rpartition("/")[2]] for one in document["anyOf"]]

"""A small real bundle in each form, and what a careful forger would make of one: damaged, and sealed again."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import re
import shlex
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commandkit import conda_bundler
from tinychannel import PLACEHOLDER, File, index, make_package

from bundler.bundle.assemble import INSTALL, SUMS, checksums
from bundler.bundle.entries import PayloadEntry
from bundler.bundle.provenance import PROVENANCE, WITHOUT_SUBJECT
from bundler.bundle.segmentlist import SEGMENTS, segment_list
from bundler.pack.contents import CONTENTS, LINKS, NEVER_LINKED, Content, lists
from bundler.pack.listing import unpacked_sha256
from bundler.pack.members import DIGESTS, LINK_MODE, TreeEntry
from bundler.tar.write import DIRECTORY, END, LINK, REGULAR, tar_header, tar_padding

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

__all__ = [
    "CONFIG",
    "TOP",
    "as_user",
    "build",
    "command",
    "give",
    "listed",
    "make_channel",
    "make_project",
    "put_segments",
    "repack",
    "reseal",
    "segments_of",
]

_LISTS = (CONTENTS, DIGESTS, LINKS)
TOP = "small-1.0-linux-64"
CONFIG = """
[bundle]
name = "small"
version = "1.0"
exclude = ["*.left-out"]
[files]
"data" = "data"
[config]
PORT = "8000"
MODE = "fast"
[secrets]
API_TOKEN = { bytes = 16, format = "hex" }
[services.small]
command = ["tool", "{app}/data"]
profile = "generic"
memory_max = "1G"
health = { http = "http://127.0.0.1:${PORT}/" }
[services.other]
command = ["tool"]
"""


def make_channel(channel: Path) -> Path:
    """Packages of a few bytes; ``tool`` in two versions, ``library`` and ``twin`` with one file in common."""
    script = File(content=f"#!{PLACEHOLDER}/bin/sh\nexec true\n".encode(), mode=0o755, prefix="text")
    for version in ("1.0", "2.0"):
        make_package(
            channel, "tool", version, files={"bin/tool": script}, depends=["library", "__glibc >=2.17,<3.0.a0"]
        )
    make_package(channel, "library", "2.0", files={"lib/big": b"big\n" * 5000, "share/both": b"1"})
    make_package(channel, "twin", "1.0", files={"share/both": b"2", "bin/.twin-post-link.sh": b"#!/bin/sh\n"})
    index(channel)
    return channel


def make_project(project: Path, *, environment: str = "tool <2, twin", config: str = CONFIG) -> Path:
    """A project whose environment is ``environment``, comma-separated."""
    (project / "data").mkdir(parents=True)
    (project / "environment.yml").write_text(f"channels: [nowhere]\ndependencies: [{environment}]\n")
    (project / "bundle.toml").write_text(config)
    (project / "data" / "text").write_text("x")
    (project / "data" / "link").symlink_to("text")
    return project


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run conda-bundler."""
    return conda_bundler(*words)


def as_user(number: int) -> list[str]:
    """What to put before a command so that somebody else runs it, who may look into this user's directories."""
    rights = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search")
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", *rights]


def give(room: Path, number: int) -> None:
    """Make all below ``room`` somebody's."""
    for path in (room, *room.rglob("*")):
        os.chown(path, number, number, follow_symlinks=False)


def build(project: Path, channel: Path, form: str, *options: str) -> Path:
    """The bundle, in ``dist`` beside the project."""
    output = project.parent / "dist"
    words: tuple[str | Path, ...] = (
        "--channel",
        channel.as_uri(),
        "--format",
        form,
        "--output-dir",
        output,
        "--json",
        *options,
    )
    done = command("build", project, *words)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["bundles"][0]["path"])


def repack(bundle: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    """Write the payload of a directory anew after ``change`` to its members, in two segments, and seal the bundle.

    The lists, which are the second one, are made anew but for those that ``change`` has changed.
    """
    payload = bundle / "payload.tar.gz"
    with tarfile.open(payload) as tar:
        members = [(info, tar.extractfile(info).read() if info.isfile() else b"") for info in tar]  # type: ignore[union-attr]
    before = {info.name: content for info, content in members if info.name in _LISTS}
    change(members)
    members, content = _listed_anew(members, before)
    halves = [[one for one in members if (one[0].name in _LISTS) is last] for last in (False, True)]
    raw = [b"".join(_entry(*one) for one in half) + (END if half is halves[1] else b"") for half in halves]
    packed = [gzip.compress(half, mtime=0) for half in raw]
    payload.write_bytes(b"".join(packed))
    files = [(info, content) for info, content in members if not info.isdir()]
    digest = hashlib.sha256(payload.read_bytes()).hexdigest()
    said = {
        "sha256": digest,
        "size": payload.stat().st_size,
        "files": len({info.name for info, _ in files}),
        "unpacked_size": sum(len(content) for _, content in files),
        "unpacked_sha256": listed(members),
        "segments": [
            _piece(payload.read_bytes(), 0, len(packed[0])) | _said_of(content),
            _piece(payload.read_bytes(), len(packed[0]), len(b"".join(packed)))
            | _said_of(Content.of("list", _entries(halves[1]), id=NEVER_LINKED)),
        ],
    }
    reseal(bundle, payload=said, tree_digest=_tree_digest(files))


def _listed_anew(
    members: list[tuple[tarfile.TarInfo, bytes]], before: dict[str, bytes]
) -> tuple[list[tuple[tarfile.TarInfo, bytes]], Content]:
    """The members with the lists of what they are now, and what the first segment has."""
    content = Content.of("all", _entries([one for one in members if one[0].name not in _LISTS]), id=NEVER_LINKED)
    made = lists([content])
    return [
        (_sized(info, made[info.name]), made[info.name]) if before.get(info.name) == data else (info, data)
        for info, data in members
    ], content


def _sized(info: tarfile.TarInfo, content: bytes) -> tarfile.TarInfo:
    info.size = len(content)
    return info


def _said_of(content: Content) -> dict[str, Any]:
    """What the manifest says of a segment beside its bytes."""
    return {"name": content.name, "id": content.id, "files": len(content.entries), "kib": content.kib}


def segments_of(bundle: Path) -> list[bytes]:
    """The segments of a directory's payload, each as it lies there."""
    said = _payload_of(bundle)
    content = (bundle / said["path"]).read_bytes()
    return [content[one["offset"] : one["offset"] + one["length"]] for one in said["segments"]]


def put_segments(bundle: Path, segments: Sequence[bytes], *, parts: Sequence[int] = ()) -> None:
    """Write a directory's payload of these, and seal the bundle; ``parts`` are the offsets at which its parts begin.

    What they unpack to is said to be what is said of those that lie there, as far as there are as many.
    """
    before = _payload_of(bundle)
    content = b"".join(segments)
    (bundle / before["path"]).write_bytes(content)
    ends = [0, *itertools.accumulate(map(len, segments))]
    others = ({"name": f"s{number}", "id": NEVER_LINKED, "files": 0, "kib": 0} for number in itertools.count())
    names = itertools.chain(before["segments"], others)
    pieces = [one | _piece(content, *run) for one, run in zip(names, itertools.pairwise(ends), strict=False)]
    cuts = itertools.pairwise((*parts, len(content)))
    said = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "segments": pieces,
        "parts": [_piece(content, *cut) for cut in cuts],
    }
    reseal(bundle, payload=said)


def _payload_of(bundle: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())["payload"]
    return said


def _piece(content: bytes, start: int, end: int) -> dict[str, Any]:
    return {"offset": start, "length": end - start, "sha256": hashlib.sha256(content[start:end]).hexdigest()}


def _entry(info: tarfile.TarInfo, content: bytes) -> bytes:
    """As conda-bundler writes it; what it never writes as the standard library does."""
    if info.type not in (REGULAR, LINK, DIRECTORY):
        return info.tobuf(tarfile.USTAR_FORMAT)
    mode = LINK_MODE if info.issym() else info.mode
    header = tar_header(info.name, mode, size=len(content), kind=info.type, link=info.linkname)
    return header + content + tar_padding(len(content))


def listed(members: list[tuple[tarfile.TarInfo, bytes]]) -> str:
    """What install.sh compares the unpacked tree with."""
    return unpacked_sha256(_entries(members), (info.name for info, _ in members if info.isdir()))


def _entries(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> list[TreeEntry]:
    """The files and links among them."""
    return [
        TreeEntry(path=info.name, mode=LINK_MODE, digest=info.linkname, size=0)
        if info.issym()
        else TreeEntry(path=info.name, mode=info.mode, digest=hashlib.sha256(content).hexdigest(), size=len(content))
        for info, content in members
        if not info.isdir()
    ]


def _tree_digest(files: list[tuple[tarfile.TarInfo, bytes]]) -> str:
    digest = hashlib.sha256()
    for info, content in sorted(files, key=lambda file: file[0].name):
        mode, said = (0o777, info.linkname) if info.issym() else (info.mode, hashlib.sha256(content).hexdigest())
        digest.update(f"{mode:o} {said} {info.name}\0".encode())
    return digest.hexdigest()


def _rewrite_provenance(bundle: Path) -> str:
    """Its subjects and inputs made those that lie there; its new digest."""
    path = bundle / PROVENANCE
    statement = json.loads(path.read_text())
    files = {one.relative_to(bundle).as_posix(): one for one in bundle.rglob("*") if one.is_file()}
    digests = {
        name: {"sha256": hashlib.sha256(one.read_bytes()).hexdigest()}
        for name, one in sorted(files.items())
        if name not in WITHOUT_SUBJECT
    }
    statement["subject"] = [{"name": name, "digest": digest} for name, digest in digests.items()]
    for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
        one["digest"] = digests.get(one["name"], one.get("digest", {}))
    path.write_text(json.dumps(statement))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reseal(
    bundle: Path,
    *,
    payload: dict[str, Any] | None = None,
    keep_provenance: bool = False,
    keep_segments: bool = False,
    **changes: Any,
) -> None:
    """Make every digest in a directory agree with what lies there, after changes to the manifest.

    With ``keep_provenance`` the provenance says what it said, with ``keep_segments`` the list of segments.
    """
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest |= changes
    manifest["payload"] |= payload or {}
    if not keep_segments:
        (bundle / SEGMENTS).write_bytes(segment_list(PayloadEntry.model_validate(manifest["payload"])))
    if (bundle / PROVENANCE).exists() and not keep_provenance:
        manifest["provenance"]["sha256"] = _rewrite_provenance(bundle)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    digests = {
        path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in bundle.rglob("*")
        if path.is_file() and path.name not in (INSTALL, SUMS)
    }
    script = (bundle / INSTALL).read_text()
    for name, digest in digests.items():
        script = re.sub(
            rf'("\$1") [0-9a-f]{{64}} {re.escape(name)}$', rf"\1 {digest} {name}", script, flags=re.MULTILINE
        )
    values = {
        "PAYLOAD_SHA256": digests[manifest["payload"]["path"]],
        "TREE_DIGEST": manifest["tree_digest"],
    }
    if payload:
        values["UNPACKED_SHA256"] = manifest["payload"]["unpacked_sha256"]
        parts = manifest["payload"]["parts"]
        values["PAYLOAD_PARTS"] = " ".join(f"{part['sha256']} {part['offset']} {part['length']}" for part in parts)
    for key, value in values.items():
        script = re.sub(rf"^{key}=('[^']*'|\S*)", f"{key}={shlex.quote(value)}", script, count=1, flags=re.MULTILINE)
    script = re.sub(r"^SELF_SHA256='.*'$", "SELF_SHA256=''", script, flags=re.MULTILINE)
    own = hashlib.sha256(script.encode()).hexdigest()
    script = re.sub(r"^SELF_SHA256=''$", f"SELF_SHA256='{own}'", script, flags=re.MULTILINE)
    (bundle / INSTALL).write_text(script)
    digests[INSTALL] = hashlib.sha256(script.encode()).hexdigest()
    (bundle / SUMS).write_bytes(checksums(digests))

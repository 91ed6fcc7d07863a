"""Bundles that came by mail: tars, manifests, lists of digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bundlekit import LEAST
from fuzzkit import Target, bytes_like, texts_like, twisted
from hypothesis import strategies as st

from bundler.bundle.assemble import SUMS
from bundler.bundle.index import read_manifest
from bundler.bundle.provenance import PROVENANCE
from bundler.progress import QuietProgress
from bundler.reader.diff import diff
from bundler.reader.documents import provenance_of, provenance_problems
from bundler.reader.inspect import inspect
from bundler.reader.open import OpenBundle, Piece
from bundler.reader.tree import read_tree
from bundler.reader.verify import _check_sums, verify
from bundler.signing.bundles import Trust
from bundler.smoke.attest import tested

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TARGETS"]

MANIFEST: dict[str, Any] = LEAST | {
    "payload": LEAST["payload"]
    | {"segments": [{"name": "app/", "offset": 0, "length": 30, "sha256": "0" * 64}], "unpacked_size": 1 << 20},
    "options": {"exclude": ["*.a"]},
    "config": {"PORT": "8000"},
    "requires": {"machine": "x86_64", "glibc": "2.17", "libraries": [{"soname": "libGL.so.1", "need": "optional"}]},
}


def _tar(*members: tuple[str, bytes, bytes, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


TREE = _tar(
    ("env", tarfile.DIRTYPE, b"", ""),
    ("env/x", tarfile.REGTYPE, b"hello\n", ""),
    ("env/" + "long/" * 30 + "é", tarfile.REGTYPE, b"x" * 600, ""),
    ("env/l", tarfile.SYMTYPE, b"", "x"),
)
BUNDLE = _tar(
    ("small", tarfile.DIRTYPE, b"", ""),
    ("small/manifest.json", tarfile.REGTYPE, json.dumps(MANIFEST).encode(), ""),
    ("small/payload.tar.gz", tarfile.REGTYPE, gzip.compress(TREE, mtime=0), ""),
    ("small/units/small.service", tarfile.REGTYPE, b"[Service]\nExecStart=/x\n", ""),
)


def _bundle(data: bytes, room: Path) -> None:
    path = room / "small.tar"
    path.write_bytes(data)
    found = inspect(path)
    "\n".join(found.lines())
    json.dumps(found.document())
    verify(path, QuietProgress())


def _payload(data: bytes, room: Path) -> None:
    """The tar in it, in each form of compression."""
    codec = ("none", "gzip")[len(data) % 2]
    content = data if codec == "none" else gzip.compress(data, compresslevel=1, mtime=0)
    said = MANIFEST["payload"] | {"codec": codec, "size": len(content)}
    read_tree(_opened(room, MANIFEST | {"payload": said}, content))


def _compressed(data: bytes, room: Path) -> None:
    read_tree(_opened(room, MANIFEST, data))


def _opened(room: Path, manifest: Any, payload: bytes) -> OpenBundle:
    files = {"manifest.json": json.dumps(manifest).encode(), "payload.tar.gz": payload}
    pieces = {}
    for name, content in files.items():
        (room / name).write_bytes(content)
        pieces[name] = Piece(file=room / name, offset=0, size=len(content))
    return OpenBundle(path=room, form="dir", top=room.name, pieces=pieces)


def _manifest(data: bytes, room: Path) -> None:
    manifest = read_manifest(data, where="small")
    manifest.packed()
    manifest.app_segment()
    manifest.requires.lines()
    (room / "manifest.json").write_bytes(data)
    (room / "payload.tar.gz").write_bytes(gzip.compress(TREE, mtime=0))
    found = inspect(room)
    "\n".join(found.lines())
    json.dumps(found.document())
    different = diff(room, room)
    "\n".join(different.lines())


def _sums(data: bytes, room: Path) -> None:
    bundle = _opened(room, MANIFEST, b"x")
    (room / SUMS).write_bytes(data)
    pieces = {**bundle.pieces, SUMS: Piece(file=room / SUMS, offset=0, size=len(data))}
    bundle = OpenBundle(path=room, form="dir", top=room.name, pieces=pieces)
    digests = {name: hashlib.sha256((room / name).read_bytes()).hexdigest() for name in pieces}
    _check_sums(bundle, digests)


PROVENANCE_TEXT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "units/a.service", "digest": {"sha256": "0" * 64}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "urn:conda-bundler:build:1",
            "externalParameters": {
                "platform": "linux-64",
                "source": "bundle.toml",
                "name": "small",
                "compression": "gzip",
                "sourceDateEpoch": 1,
            },
            "resolvedDependencies": [
                {"name": "env.yml", "digest": {"sha256": "1" * 64}, "annotations": {"role": "environment"}},
            ],
        },
        "runDetails": {"builder": {"id": "urn:x:y", "version": {"conda-bundler": "1"}}},
    },
}


def _provenance(data: bytes, room: Path) -> None:
    said = {"path": PROVENANCE, "sha256": hashlib.sha256(data).hexdigest()}
    bundle = _opened(room, MANIFEST | {"provenance": said}, b"x")
    (room / PROVENANCE).write_bytes(data)
    pieces = {**bundle.pieces, PROVENANCE: Piece(file=room / PROVENANCE, offset=0, size=len(data))}
    bundle = OpenBundle(path=room, form="dir", top=room.name, pieces=pieces)
    statement = provenance_of(bundle)
    "\n".join(provenance_problems(statement, bundle.manifest, {"units/a.service": "0" * 64}))
    _ = statement.environments


ATTESTATION: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "small.tar", "digest": {"sha256": "0" * 64}}],
    "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
    "predicate": {
        "result": "FAILED",
        "configuration": [
            {"name": "Debian", "uri": "urn:x:y", "annotations": {"role": "system", "systemd": 252, "kernel": "6.1"}}
        ],
        "passedTests": ["install.sh"],
        "failedTests": ["small.service"],
    },
}


def _attestation(data: bytes, room: Path) -> None:
    """Beside a bundle: whatever is wrong with it is told, and never raised."""
    bundle = room / "small"
    bundle.mkdir()
    (bundle / SUMS).write_bytes(b"x")
    (room / "small.smoke.json").write_bytes(data)
    (room / "allowed_signers").touch()
    found = tested(bundle, Trust(allowed=room / "allowed_signers"))
    assert found is not None
    assert found.problem
    assert found.line().isprintable()
    json.dumps(asdict(found))


SUMS_TEXT = f"{'ab' * 32}  manifest.json\n{'cd' * 32}  payload.tar.gz\n"
TARGETS = (
    Target(name="bundle", inputs=bytes_like(BUNDLE), run=_bundle),
    Target(name="tar headers", inputs=bytes_like(TREE), run=_payload),
    Target(name="payload", inputs=bytes_like(gzip.compress(TREE, mtime=0)), run=_compressed),
    Target(
        name="manifest.json",
        inputs=st.one_of(
            twisted(MANIFEST).map(lambda it: json.dumps(it).encode()), texts_like(json.dumps(MANIFEST, indent=1))
        ),
        run=_manifest,
    ),
    Target(
        name="provenance.json",
        inputs=st.one_of(
            twisted(PROVENANCE_TEXT).map(lambda it: json.dumps(it).encode()), texts_like(json.dumps(PROVENANCE_TEXT))
        ),
        run=_provenance,
    ),
    Target(
        name="statement on a smoke test",
        inputs=st.one_of(
            twisted(ATTESTATION).map(lambda it: json.dumps(it).encode()), texts_like(json.dumps(ATTESTATION))
        ),
        run=_attestation,
    ),
    Target(name="SHA256SUMS", inputs=texts_like(SUMS_TEXT), run=_sums),
)

"""The manifest: written and read by the same models, and those of older versions still read."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from bundlekit import LEAST

from bundler.bundle.entries import (
    Entry,
    ExemptionEntry,
    LibraryEntry,
    LibraryUserEntry,
    NoteEntry,
    OverrideEntry,
    PartEntry,
    SecretEntry,
    SegmentEntry,
    SharedEntry,
    StartedEntry,
)
from bundler.bundle.index import Manifest, read_manifest
from bundler.bundle.scripts import install_script
from bundler.config.tables import Secret
from bundler.installer.render import InstallService, render_install
from bundler.pack.archive import WrittenPart, WrittenSegment
from bundler.pack.collect import Note
from bundler.sharing.shared import Shared
from bundler.units.libraries import HostLibrary, LibraryUser
from bundler.units.overrides import Replaced
from bundler.units.sandbox import Exemption

OLD = Path(__file__).parent / "manifests" / "0.1.0.json"
"""Of a bundle with a service of each kind, as it was written before the models wrote it."""


def read(document: dict[str, Any]) -> Manifest:
    return read_manifest(json.dumps(document).encode(), where="x")


def missing(old: Any, new: Any, path: str = "") -> list[str]:
    """What of ``old`` is another value in ``new``, or is not there."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [one for key in old for one in missing(old[key], new.get(key, ...), f"{path}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [one for number, (before, after) in pairs for one in missing(before, after, f"{path}.{number}")]
    return [] if old == new else [path]


def test_what_an_older_version_wrote_is_read_and_nothing_of_it_is_lost() -> None:
    old = json.loads(OLD.read_text())
    assert {service["unit"] for service in old["services"]} > {"worker@.service", "nightly.service", "web.service"}
    assert old["hooks"]
    assert missing(old, json.loads(read(old).text())) == []


def test_what_it_did_not_know_has_its_default() -> None:
    manifest = read_manifest(OLD.read_bytes(), where="x")
    assert (manifest.payload.clients, manifest.services[0].started, manifest.services[0].network) == ((), (), None)
    assert manifest.options == {"exclude": ("*.left-out",), "include": ()}


def test_what_is_written_is_read_as_the_same() -> None:
    for document in (LEAST, json.loads(OLD.read_text())):
        manifest = read(document)
        text = manifest.text()
        assert read_manifest(text.encode(), where="x") == manifest
        assert read_manifest(text.encode(), where="x").text() == text
        assert list(json.loads(text)) == sorted(json.loads(text))


def test_a_name_that_is_not_utf8_is_written_and_read() -> None:
    note = {"kind": "baked", "package": "a", "path": "b\udce9"}
    manifest = read(LEAST | {"notes": [note]})
    written = manifest.text().encode("utf-8", "backslashreplace")
    assert read_manifest(written, where="x") == manifest
    assert manifest.notes[0].path == "b\udce9"


@pytest.mark.parametrize(
    ("entry", "written"),
    [
        (PartEntry, WrittenPart),
        (NoteEntry, Note),
        (SharedEntry, Shared),
        (ExemptionEntry, Exemption),
        (OverrideEntry, Replaced),
        (StartedEntry, InstallService),
        (SecretEntry, Secret),
        (LibraryEntry, HostLibrary),
        (LibraryUserEntry, LibraryUser),
    ],
)
def test_an_entry_has_what_the_build_has(entry: type[Entry], written: type[Any]) -> None:
    assert set(entry.model_fields) == {field.name for field in fields(written)}


def test_a_segment_has_what_was_written_and_what_it_unpacks_to() -> None:
    written = {field.name for field in fields(WrittenSegment)}
    assert set(SegmentEntry.model_fields) == written | {"id", "files", "kib"}


def test_a_field_that_the_manifest_does_not_know_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class More(WrittenPart):
        colour: str

    assert PartEntry.of(WrittenPart(offset=1, length=2, sha256="x")).length == 2
    with pytest.raises(TypeError, match="other fields"):
        PartEntry.of(More(offset=1, length=2, sha256="x", colour="red"))


def test_what_install_sh_carries_is_the_manifests() -> None:
    started = {"unit": "web.service", "health_unit": "web-health.service", "start_period": 5.0, "timeout": 30.0}
    said = LEAST | {
        "services": [{"unit": "web.service", "network": "loopback", "started": [started]}],
        "secrets": [{"name": "TOKEN", "bytes": 16, "format": "hex", "length": 32}],
        "payload": LEAST["payload"] | {"installed_files": 7, "installed_kib": 28, "longest": 200, "clients": ["erl"]},
        "requires": {
            "machine": "x86_64",
            "archspec": "x86_64_v2",
            "libraries": [{"soname": "a.so", "need": "optional"}],
        },
    }
    text = render_install(install_script(read(said), {"units/web.service": "1" * 64, "manage": "2" * 64}, {}))
    for line in (
        "NAME=small",
        "NETWORKS=web # services that may reach some addresses only",
        "PAYLOAD_KIB=28",
        "CLIENTS=erl # what the environment brings to ask health checks with",
        "    as_service \"$1\" web.service web-health.service 5 30 ''",
        '    as_secret "$1" TOKEN 16 hex 32 environment',
        "    \"$1\" a.so optional '' '' 0 '' '' ''",
        f'    "$1" {"2" * 64} manage',
        f'    "$1" {"0" * 64} payload.tar.gz',
        "    \"$1\" '' install.sh",
    ):
        assert line in text.splitlines(), line

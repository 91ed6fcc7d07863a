"""Units as they are read back, manifests of other versions, sizes and tables for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bundlekit import LEAST
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.index import read_manifest
from bundler.bundle.manifest import SYSTEMD
from bundler.config.project import load_config
from bundler.errors import VerificationError
from bundler.installer.render import render_unit
from bundler.printable import printable
from bundler.reader.telling import columns, difference, size
from bundler.resources import templates_dir
from bundler.units.read import CONFINEMENT, UnitText
from bundler.units.service import make_units

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[bundle]
name = "small"
version = "1.0"
[services.small]
command = ["tool"]
health = { http = "http://127.0.0.1:8000/" }
"""


def units(tmp_path: Path, config: str = CONFIG) -> dict[str, UnitText]:
    """The units that a build makes of ``config``, as inspect reads them."""
    (tmp_path / "environment.yml").write_text("channels: [x]\ndependencies: [python]\n")
    (tmp_path / "bundle.toml").write_text(config)
    made = make_units(load_config(tmp_path), "/opt/small/releases/1.0-0", frozenset({"env/bin/tool"}))
    return {unit.name: UnitText.parse(unit.name, render_unit(unit)) for unit in made}


def test_a_service_of_ours_is_no_exception_to_itself(tmp_path: Path) -> None:
    found = units(tmp_path)
    assert [*found][:2] == ["small.service", "small-health.service"]
    for unit in (found["small.service"], found["small-health.service"]):
        assert unit.exceptions == ()
        assert {key for key, _ in unit.confinement} == {*CONFINEMENT}


def test_directives_are_read_back_as_they_were_meant(tmp_path: Path) -> None:
    unit = units(tmp_path)["small.service"]
    assert unit.get("Service", "ExecStart") == "/opt/small/releases/1.0-0/env/bin/tool"
    assert unit.get("Install", "WantedBy") == "multi-user.target"
    assert unit.get("Unit", "ExecStart", "none") == "none"
    assert unit.get("Service", "Environment") == "HOME=/var/lib/small"  # the last of several
    assert [value for _, key, value in unit.directives if key == "SystemCallFilter"] == [
        "@system-service",
        "~@privileged",
        "@chown @setuid capset",
    ]


@pytest.mark.parametrize(
    ("override", "stands"),
    [
        ('ProtectSystem = "full"', ("ProtectSystem", "full, by default strict")),
        ('PrivateTmp = "no"', ("PrivateTmp", "no, by default yes")),
        ('CapabilityBoundingSet = "CAP_KILL"', ("CapabilityBoundingSet", "CAP_KILL, by default empty")),
        ('SystemCallFilter = ["", "@system-service"]', ("SystemCallFilter", "@system-service, by default @system-service ~@privileged @chown @setuid capset")),  # noqa: E501
    ],
)  # fmt: skip
def test_what_bundle_toml_loosens_is_an_exception(tmp_path: Path, override: str, stands: tuple[str, str]) -> None:
    unit = units(tmp_path, f"{CONFIG}[services.small.unit.Service]\n{override}\n")["small.service"]
    assert unit.exceptions == (stands,)


def test_yes_in_another_word_is_none(tmp_path: Path) -> None:
    unit = units(tmp_path, f'{CONFIG}[services.small.unit.Service]\nPrivateTmp = "true"\n')["small.service"]
    assert unit.exceptions == ()


def test_a_directive_that_is_missing_is_an_exception(tmp_path: Path) -> None:
    unit = units(tmp_path, CONFIG.replace("[services.small]", '[services.small]\nprofile = "generic"'))["small.service"]
    assert unit.exceptions == (("MemoryDenyWriteExecute", "not set"),)


def test_comments_and_blank_lines_are_no_directives() -> None:
    unit = UnitText.parse("x.timer", "# A=1\n; B=2\n\n[Timer]\n OnCalendar = daily \nnonsense\n")
    assert unit.directives == (("Timer", "OnCalendar", "daily"),)
    assert not unit.is_service


def test_the_systemd_that_inspect_tells_is_the_one_that_install_sh_wants() -> None:
    assert f'"$systemd_version" -lt {SYSTEMD} ]' in (templates_dir() / "install" / "preflight.sh").read_text()


def test_a_manifest_with_the_least_there_can_be() -> None:
    manifest = read_manifest(json.dumps(LEAST).encode(), where="x")
    assert (manifest.config, manifest.secrets, manifest.payload.largest, manifest.requires.glibc) == ({}, (), (), "")
    assert (manifest.packed(), manifest.app_segment()) == ({}, None)


def test_a_clobber_of_an_older_bundle_names_no_owner() -> None:
    note = {"kind": "clobber", "package": "alpha", "path": "both"}
    manifest = read_manifest(json.dumps(LEAST | {"notes": [note]}).encode(), where="x")
    assert (manifest.notes[0].owner, manifest.shared) == ("", ())


def test_a_key_of_a_later_version_is_passed_over() -> None:
    more = LEAST | {"signature": {}, "payload": LEAST["payload"] | {"colour": "blue"}}
    assert read_manifest(json.dumps(more).encode(), where="x") == read_manifest(json.dumps(LEAST).encode(), where="x")


def test_a_later_schema_is_refused_with_what_can_read_it() -> None:
    with pytest.raises(VerificationError, match="schema version 2") as caught:
        read_manifest(json.dumps({"schema": 2, "made_by": "conda-bundler 9"}).encode(), where="x.tar")
    assert caught.value.where == "x.tar"
    assert "conda-bundler 9" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "corrupted"),
        (b"\xff", "corrupted"),
        (b"[]", "the document"),
        (b'{"schema": "1"}', "made_by"),
        (json.dumps(LEAST | {"packages": [{"name": "a"}]}).encode(), "packages.0.version"),
        (json.dumps(LEAST | {"payload": LEAST["payload"] | {"size": -1}}).encode(), "payload.size"),
        (json.dumps(LEAST | {"payload": LEAST["payload"] | {"codec": "lz4"}}).encode(), "payload.codec"),
    ],
)
def test_what_is_no_manifest_is_named(content: bytes, says: str) -> None:
    with pytest.raises(VerificationError, match=says):
        read_manifest(content, where="x")


def test_segments_are_told_from_packages_by_their_place() -> None:
    """A package may be called as a segment of ours is."""
    names = ("directories", "baked", "list", "tool", "app/", "baked", "list")
    segments = [
        {"name": name, "offset": 0, "length": length, "sha256": ""} for length, name in enumerate(names, start=1)
    ]
    manifest = read_manifest(
        json.dumps(LEAST | {"payload": LEAST["payload"] | {"segments": segments}}).encode(), where="x"
    )
    assert manifest.packed() == {"baked": 2, "list": 3, "tool": 4}
    app = manifest.app_segment()
    assert app is not None
    assert app.length == 5


def test_the_directories_of_each_part_are_no_packages() -> None:
    names = ("directories", "b", "directories", "c", "app/", "baked", "list")
    segments, parts, offset = [], [], 0
    for length, name in zip((1, 2, 3, 0, 5, 6, 7), names, strict=True):
        segments.append({"name": name, "offset": offset, "length": length, "sha256": ""})
        offset += length
    for start, end in ((0, 3), (3, offset)):
        parts.append({"offset": start, "length": end - start, "sha256": ""})
    payload = LEAST["payload"] | {"segments": segments, "parts": parts}
    manifest = read_manifest(json.dumps(LEAST | {"payload": payload}).encode(), where="x")
    assert manifest.packed() == {"b": 2, "c": 0}


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (10**9, "1.0 GB"),
     (25 * 10**11, "2500.0 GB")],
)  # fmt: skip
def test_sizes(count: int, told: str) -> None:
    assert size(count) == told


def test_differences() -> None:
    assert difference(1000, 3000) == "1.0 kB -> 3.0 kB (+2.0 kB)"
    assert difference(3000, 1000) == "3.0 kB -> 1.0 kB (-2.0 kB)"
    assert difference(1000, 1000) == "1.0 kB, unchanged"


def test_columns() -> None:
    assert columns([("a", "1"), ("bbb", "22")], right={1}) == ["  a     1", "  bbb  22"]
    assert columns([("a", ""), ("bbb", "")]) == ["  a", "  bbb"]
    assert columns([]) == []


@given(st.text(st.characters(codec=None)))
def test_nothing_that_is_told_steers_a_terminal(text: str) -> None:
    told = printable(text)
    assert told.isprintable()
    told.encode()  # so it can be printed
    assert not text.isprintable() or told == text

"""Bundles of earlier code, looked at by today's commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from released import COMMITS, put_bundle, unpack
from smallbundle import build, command, make_channel, make_project, reseal

from bundler.resources import templates_digest

if TYPE_CHECKING:
    from pathlib import Path

RELEASED = tuple(COMMITS)


@pytest.mark.parametrize("name", RELEASED)
def test_it_is_verified_and_said_what_was_not_compared(name: str, tmp_path: Path) -> None:
    for bundle in (put_bundle(name, tmp_path), unpack(name, tmp_path)):
        done = command("verify", bundle, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        manifest = json.loads((unpack(name, tmp_path / "again") / "manifest.json").read_text())
        ours = manifest.get("templates_sha256") == templates_digest()  # until a template changes
        assert (told["verified"], told["programs_compared"]) == (True, ours)
        assert ours or {"install.sh", "manage"} <= set(told["not_compared"])
        (tree,) = (check["detail"] for check in told["checks"] if check["name"] == "tree")
        assert ("directories were not compared" in tree) == (name == "0.1.0-first")


@pytest.mark.parametrize("name", RELEASED)
def test_a_damaged_one_is_refused(name: str, tmp_path: Path) -> None:
    bundle = unpack(name, tmp_path)
    payload = bytearray((bundle / "payload.tar.gz").read_bytes())
    payload[len(payload) // 2] ^= 1
    (bundle / "payload.tar.gz").write_bytes(payload)
    assert command("verify", bundle).returncode == 7


@pytest.mark.parametrize("name", RELEASED)
def test_it_is_inspected_and_compared_with_a_later_one(name: str, tmp_path: Path) -> None:
    bundle = put_bundle(name, tmp_path)
    done = command("inspect", bundle, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [service["unit"] for service in told["services"]] == [
        f"{unit}.service" for unit in ("hello", "hello-nightly", "hello-old")
    ]
    assert told["config"]["GREETING"] == "good morning"
    other = unpack(RELEASED[-1], tmp_path / "other")
    done = command("diff", bundle, other)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("own_cache")
def test_a_bundle_of_this_version_may_not_leave_the_digest_out(tmp_path: Path) -> None:
    bundle = build(make_project(tmp_path / "project"), make_channel(tmp_path / "channel"), "dir")
    reseal(bundle, payload={"unpacked_sha256": ""})
    done = command("verify", bundle)
    assert (done.returncode, "unpacks to different directories" in done.stderr) == (7, True), done.stderr

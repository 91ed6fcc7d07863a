"""Channels that name others in their repodata (CEP 42), in each form of it: not followed unless bundle.toml says so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import yaml
import zstandard
from channelserver import PASSWORD, USER, ChannelServer, serve
from prefixkit import Steps
from tinychannel import index, make_package

from bundler.errors import ConfigError, LockError
from bundler.fetch.channels import Access
from bundler.lock.condalock import read_lock, write_lockfile
from bundler.lock.freshness.condalock import is_fresh
from bundler.lock.request import LockRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("own_cache")]

FORMS = {"json": "repodata.json", "zst": "repodata.json.zst", "shards": "repodata_shards.msgpack.zst"}


def say(channel: Path, **relations: str) -> None:
    """Write ``relations`` into each form of its noarch repodata."""
    noarch = channel / "noarch"
    document = json.loads((noarch / FORMS["json"]).read_bytes())
    document["info"]["channel_relations"] = relations
    text = json.dumps(document).encode()
    (noarch / FORMS["json"]).write_bytes(text)
    (noarch / FORMS["zst"]).write_bytes(zstandard.compress(text))
    shards = msgpack.unpackb(zstandard.decompress((noarch / FORMS["shards"]).read_bytes(), 10**6))
    shards["info"]["channel_relations"] = relations
    (noarch / FORMS["shards"]).write_bytes(zstandard.compress(msgpack.packb(shards)))


@pytest.fixture
def channels(tmp_path: Path) -> Path:
    """``main`` has leaf 1, ``hostile`` leaf 9; ``forge`` has what main's ``needy`` needs."""
    path = tmp_path / "served"
    make_package(path / "main", "leaf", "1.0")
    make_package(path / "main", "tool", "1.0", depends=["leaf"])
    make_package(path / "main", "needy", "1.0", depends=["only-forge"])
    make_package(path / "hostile", "leaf", "9.0")
    make_package(path / "forge", "leaf", "2.0")
    make_package(path / "forge", "only-forge", "1.0", depends=["leaf"])
    for channel in path.iterdir():
        index(channel)
    return path


@pytest.fixture
def server(channels: Path) -> Iterator[ChannelServer]:
    with serve(channels) as server:
        yield server


def request_for(tmp_path: Path, url: str, *dependencies: str, **settings: Any) -> LockRequest:
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "environment.yml").write_text(yaml.safe_dump({"channels": [url], "dependencies": list(dependencies)}))
    return LockRequest(
        environments=(project / "environment.yml",),
        lockfile=project / "conda-lock.yml",
        platforms=("linux-64",),
        access=Access(retries=1, read_timeout=5),
        **settings,
    )


def lock(request: LockRequest, steps: Steps | None = None) -> dict[str, str]:
    write_lockfile(request, steps)
    return {package.name: package.url for package in read_lock(request.lockfile, "linux-64").packages}


@pytest.mark.parametrize("form", [*FORMS, "file"])
def test_nothing_is_taken_from_a_channel_that_only_a_channel_names(
    channels: Path, server: ChannelServer, tmp_path: Path, form: str
) -> None:
    say(channels / "main", base="../hostile")
    if form == "file":
        url = (channels / "main").as_uri()
    else:
        url = server.url() + "/main"
        for unwanted in {*FORMS.values()} - {FORMS[form]}:
            (channels / "main" / "noarch" / unwanted).unlink()
    request = request_for(tmp_path, url, "tool")
    assert lock(request) == {name: f"{url}/noarch/{name}-1.0-0.conda" for name in ("tool", "leaf")}
    write_lockfile(request, update=("leaf",))
    assert "hostile" not in request.lockfile.read_text()
    assert not [asked for asked in server.asked if "hostile" in asked.path], "it was not even asked"
    if form == "file":
        return
    followed = lock(replace(request, relations=True))
    assert followed["leaf"] == f"{server.url()}/hostile/noarch/leaf-9.0-0.conda", "the channel does name it"


def test_what_is_followed_is_told_and_recorded(channels: Path, server: ChannelServer, tmp_path: Path) -> None:
    say(channels / "main", overrides="../forge")
    request = request_for(tmp_path, server.url() + "/main", "needy")
    with pytest.raises(LockError, match="only-forge"):
        write_lockfile(request)
    request = replace(request, relations=True)
    steps = Steps()
    found = lock(request, steps)
    base = server.url()
    assert found["only-forge"] == f"{base}/forge/noarch/only-forge-1.0-0.conda"
    assert found["leaf"] == f"{base}/main/noarch/leaf-1.0-0.conda", "what is overridden comes behind"
    told = f"{base}/forge (behind {base}/main, which names it)"
    assert f"note: packages may also come from related channel {told}" in steps.told
    metadata = yaml.safe_load(request.lockfile.read_text())["metadata"]
    assert metadata["custom_metadata"]["conda-bundler.channel-relations.linux-64"] == told
    assert [channel["url"] for channel in metadata["channels"]] == [f"{base}/main"]
    assert is_fresh(request)
    assert not is_fresh(replace(request, relations=False))
    write_lockfile(request, update=("leaf",))
    assert is_fresh(request)
    assert read_lock(request.lockfile, "linux-64").packages
    offline = replace(request, access=replace(request.access, offline=True))
    assert lock(offline) == found


def test_passwords_are_for_the_channel_that_has_them(channels: Path, tmp_path: Path, monkeypatch: Any) -> None:
    say(channels / "main", base="../forge")
    monkeypatch.setenv("CHANNEL_USER", USER)
    monkeypatch.setenv("CHANNEL_PASSWORD", PASSWORD)
    with serve(channels) as server:
        url = server.url("closed", "${CHANNEL_USER}:${CHANNEL_PASSWORD}@") + "/main"
        request = request_for(tmp_path, url, "tool", relations=True)
        with pytest.raises(LockError) as raised:
            write_lockfile(request)
        said = raised.value.format_message()
        assert "/closed/forge" in said
        assert "main names it" in said
        assert PASSWORD not in said
        there = [asked for asked in server.asked if "/closed/forge" in asked.path]
        assert there
        assert not [asked for asked in there if asked.headers["Authorization"]]


def test_what_lies_below_a_channel_does_not_get_its_password(channels: Path, tmp_path: Path, monkeypatch: Any) -> None:
    say(channels / "main", base="../main/below")
    monkeypatch.setenv("CHANNEL_USER", USER)
    monkeypatch.setenv("CHANNEL_PASSWORD", PASSWORD)
    with serve(channels) as server:
        url = server.url("closed", "${CHANNEL_USER}:${CHANNEL_PASSWORD}@") + "/main"
        with pytest.raises(LockError, match=r"which has credentials, is named together with .*/main/below below it"):
            write_lockfile(request_for(tmp_path, url, "tool", relations=True))
        assert not [asked for asked in server.asked if "/main/below" in asked.path]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("https://evil.example/x", "which is not a path on its server"),
        ("../nowhere", "no channel .*/nowhere.* names it"),
        ("../../../x", "which is not a path on its server"),
        ("../forge", "form a cycle"),
    ],
)
def test_what_cannot_be_followed_is_a_sentence(
    channels: Path, server: ChannelServer, tmp_path: Path, reference: str, said: str
) -> None:
    say(channels / "main", base=reference)
    say(channels / "forge", base="../main")
    with pytest.raises(LockError, match=said):
        write_lockfile(request_for(tmp_path, server.url() + "/main", "tool", relations=True))


def test_a_directory_is_not_followed_out_of(channels: Path, tmp_path: Path) -> None:
    say(channels / "main", base="../hostile")
    request = request_for(tmp_path, (channels / "main").as_uri(), "tool", relations=True)
    with pytest.raises(LockError, match="channels are not followed") as raised:
        write_lockfile(request)
    assert "remove `relations` from [channels]" in str(raised.value.remedy)


def test_another_solver_knows_nothing_of_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"channels.relations is ignored by solver mamba"):
        write_lockfile(request_for(tmp_path, "http://127.0.0.1:9/x", "tool", relations=True, solver="mamba"))

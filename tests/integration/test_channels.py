"""Locking and building from channels that are private, mirrored, out of order or out of reach."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import rattler
import yaml
from channelserver import PASSWORD, TOKEN, USER, ChannelServer, Trouble, serve
from commandkit import conda_bundler
from tinychannel import File, index, make_package

from bundler.errors import BundlerError, ConfigError, LockError
from bundler.fetch.channels import Access
from bundler.lock.condalock import LockRequest, read_lock, write_lockfile
from bundler.lock.freshness.condalock import is_fresh

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

NOBODY_LISTENS = "http://127.0.0.1:9/main"
QUICK = Access(retries=2, read_timeout=1)
CONFIG = """
[bundle]
name = "small"
version = "1.0"
[services.small]
command = ["tool"]
profile = "generic"
[channels]
retries = 1
read_timeout = 2
"""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("channels") / "main"
    for version in ("1.0", "2.0"):
        make_package(path, "leaf", version)
    make_package(path, "twig", "1.0", depends=["leaf"])
    make_package(path, "tool", "1.0", files={"bin/tool": File(content=b"#!/bin/sh\n", mode=0o755)}, depends=["twig"])
    make_package(path, "native", "1.0", subdir="linux-64", depends=["leaf"])
    index(path)
    return path


@pytest.fixture
def server(channel: Path) -> Iterator[ChannelServer]:
    with serve(channel) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHANNEL_USER", USER)
    monkeypatch.setenv("CHANNEL_PASSWORD", PASSWORD)
    monkeypatch.setenv("CHANNEL_TOKEN", TOKEN)
    for name in ("RATTLER_AUTH_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "project"
    path.mkdir()
    return path


def request_for(project: Path, *channels: str, dependencies: tuple[str, ...] = ("twig",), **access: Any) -> LockRequest:
    environment = project / "environment.yml"
    environment.write_text(yaml.safe_dump({"channels": list(channels), "dependencies": list(dependencies)}))
    return LockRequest(
        environments=(environment,),
        lockfile=project / "conda-lock.yml",
        platforms=("linux-64",),
        access=replace(QUICK, **access),
    )


def lock(request: LockRequest) -> dict[str, str]:
    """Name -> version of what was locked."""
    write_lockfile(request)
    return {package.name: package.version for package in read_lock(request.lockfile, "linux-64").packages}


def urls(request: LockRequest) -> set[str]:
    return {package.channel for package in read_lock(request.lockfile, "linux-64").packages}


def fails(request: LockRequest, kind: type[BundlerError] = LockError) -> str:
    with pytest.raises(kind) as raised:
        write_lockfile(request)
    assert type(raised.value) is kind
    assert "Traceback" not in raised.value.format_message()
    return raised.value.format_message()


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command itself, as noisy as it can be."""
    return conda_bundler(*words, project, "--debug")


@pytest.mark.parametrize("store", ["variables", "a token in a variable", "netrc", "conda token"])
def test_a_private_channel_is_locked_and_built_and_nobody_learns_its_password(
    project: Path, server: ChannelServer, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From each place where rattler looks; what is said, cached, locked and shipped is searched for it."""
    room, credentials = {
        "variables": ("closed", "${CHANNEL_USER}:${CHANNEL_PASSWORD}@"),
        "a token in a variable": ("t/${CHANNEL_TOKEN}/token", ""),
        "conda token": ("token", ""),
    }.get(store, ("closed", ""))
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    if store == "netrc":
        (secrets / "netrc").write_text(f"machine 127.0.0.1\nlogin {USER}\npassword {PASSWORD}\n")
        monkeypatch.setenv("NETRC", str(secrets / "netrc"))
    elif store == "conda token":
        (secrets / "auth.json").write_text(json.dumps({"127.0.0.1": {"CondaToken": TOKEN}}))
        monkeypatch.setenv("RATTLER_AUTH_FILE", str(secrets / "auth.json"))
    request = request_for(project, server.url(room, credentials), dependencies=("tool",))
    (project / "bundle.toml").write_text(CONFIG)
    said = ""
    for words in (("lock",), ("build", "--output-dir", str(project / "dist"), "--format", "dir")):
        done = run(project, *words)
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    assert urls(request) == {server.url(room, credentials)}
    (tmp_path / "cache" / "archives").rename(tmp_path / "kept")
    server.wrong["tool-1.0-0.conda"] = [Trouble(status=503)] * 9
    done = run(project, "build", "--output-dir", str(project / "dist"))
    assert done.returncode == 5, done.stderr
    said += done.stdout + done.stderr
    server.wrong["repodata.json"] = [Trouble(status=500)] * 99
    server.wrong["shards.msgpack.zst"] = [Trouble(status=500)] * 99
    done = run(project, "lock")
    assert done.returncode == 3, done.stderr
    said += done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file() and secrets not in path.parents]
    assert len(files) > 20
    for secret in (PASSWORD, TOKEN):
        assert secret not in said
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_channel_that_fails_twice_and_works_then(project: Path, server: ChannelServer) -> None:
    server.wrong["noarch/repodata.json"] = [Trouble(status=503), Trouble(status=502)]
    server.wrong["shards.msgpack.zst"] = [Trouble(status=503)] * 2
    assert lock(request_for(project, server.url())) == {"leaf": "2.0", "twig": "1.0"}


def test_a_silent_channel_is_given_up(project: Path, server: ChannelServer) -> None:
    server.wrong["repodata.json"] = [Trouble(cut=0, stall=60, late=True)] * 99
    said = fails(request_for(project, server.url(), retries=1))
    assert f"channel {server.url()} cannot be reached: no data received for 1 second (2 attempts)" in said


def test_mirrors_are_locked_as_the_channel(project: Path, channel: Path, server: ChannelServer) -> None:
    """A mirror that is down, one that has nothing, one that breaks down later, one that asks for a password."""
    forge = rattler.Channel("forge-of-the-tests").base_url.rstrip("/")  # where a name leads
    with serve(channel) as breaking:
        breaking.wrong["repodata.json.zst"] = breaking.wrong["repodata.json.bz2"] = [Trouble(status=404)] * 99
        breaking.wrong["shards.msgpack.zst"] = [Trouble(status=404)] * 99
        breaking.wrong["noarch/repodata.json"] = [Trouble(), *[Trouble(status=500)] * 99]
        mirrors = (
            NOBODY_LISTENS,
            server.url("nowhere"),
            breaking.url(),
            server.url("closed", "${CHANNEL_USER}:${CHANNEL_PASSWORD}@"),
        )
        request = request_for(project, "forge-of-the-tests", retries=1, mirrors=((forge, mirrors),))
        assert lock(request) == {"leaf": "2.0", "twig": "1.0"}
        assert urls(request) == {forge}
        assert breaking.requests("noarch/repodata.json")
    text = request.lockfile.read_text()
    assert "127.0.0.1" not in text
    assert is_fresh(request)
    assert is_fresh(replace(request, access=QUICK)), "mirrors are no part of what is locked"
    local = request_for(project, "forge-of-the-tests", mirrors=((forge, (channel.as_uri(),)),))
    assert lock(local) == {"leaf": "2.0", "twig": "1.0"}
    assert request.lockfile.read_text() == text
    said = fails(
        request_for(
            project, "forge-of-the-tests", retries=0, mirrors=((forge, (NOBODY_LISTENS, f"{NOBODY_LISTENS}-2")),)
        )
    )
    assert f"channel forge-of-the-tests cannot be reached: {NOBODY_LISTENS}/noarch/repodata.json: Connection" in said


def test_mirrors_that_cannot_be_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrors = ((NOBODY_LISTENS, ("https://${CHANNEL_OTHER}@127.0.0.1",)),)
    request = request_for(project, NOBODY_LISTENS, mirrors=mirrors)
    assert "needs the environment variable CHANNEL_OTHER" in fails(request, ConfigError)
    monkeypatch.setenv("CHANNEL_OTHER", "x")
    assert "are ignored by solver conda" in fails(replace(request, solver="conda"), ConfigError)


def test_channel_priority(project: Path, channel: Path, tmp_path: Path) -> None:
    """Flexible takes from a lower channel what cannot be had higher up, and nothing else."""
    first = tmp_path / "first"
    for name in ("leaf", "bark"):
        make_package(first, name, "0.5")
    make_package(tmp_path / "second", "bark", "9.0")
    index(first)
    index(tmp_path / "second")
    channels = (first.as_uri(), channel.as_uri(), (tmp_path / "second").as_uri())
    wanted = ("twig", "leaf >=2", "bark")
    assert "strict channel priority" in fails(request_for(project, *channels, dependencies=wanted))
    request = request_for(project, *channels, dependencies=wanted, priority="flexible")
    assert lock(request) == {"bark": "0.5", "leaf": "2.0", "twig": "1.0"}


def test_locking_without_a_network(project: Path, server: ChannelServer, channel: Path, tmp_path: Path) -> None:
    make_package(tmp_path / "noarch-only", "bark", "1.0")
    index(tmp_path / "noarch-only")
    with serve(tmp_path / "noarch-only") as other:
        channels = (server.url(), other.url(), channel.as_uri())
        wanted = ("native", "bark")
        offline = request_for(project, *channels, dependencies=wanted, offline=True)
        said = fails(offline)
        assert "no cached repodata for linux-64 of" in said
        assert [line.strip() for line in said.splitlines()[1:3]] == [server.url(), other.url()]
        assert channel.as_uri() not in said
        assert "Lock once with network access" in said
        online = request_for(project, *channels, dependencies=wanted)
        locked = lock(online)
        assert locked == {"bark": "1.0", "leaf": "2.0", "native": "1.0"}
        text = online.lockfile.read_text()
        server.asked.clear()
        other.asked.clear()
        assert lock(offline) == locked
        assert offline.lockfile.read_text() == text
        write_lockfile(offline, update=("leaf",))
        assert (server.asked, other.asked) == ([], [])
        said = fails(replace(offline, platforms=("linux-aarch64",)))
        assert "for linux-aarch64" in said


def test_the_command_offline(project: Path, server: ChannelServer, tmp_path: Path) -> None:
    request_for(project, server.url(), dependencies=("tool",))
    (project / "bundle.toml").write_text(CONFIG)
    assert run(project, "lock", "--offline").returncode == 3
    assert run(project, "lock").returncode == 0
    server.asked.clear()
    done = run(project, "build", "--offline", "--output-dir", str(tmp_path / "dist"))
    assert done.returncode == 5
    for name in ("leaf-2.0-0.conda", "tool-1.0-0.conda", "twig-1.0-0.conda"):
        assert name in done.stderr
    assert "3 of 3 packages are not in the cache" in done.stderr
    assert server.asked == []
    assert run(project, "build", "--output-dir", str(tmp_path / "dist")).returncode == 0
    server.asked.clear()
    assert run(project, "build", "--offline", "--output-dir", str(tmp_path / "dist")).returncode == 0
    assert server.asked == []


def test_several_files_make_one_environment(project: Path, channel: Path, tmp_path: Path) -> None:
    """With categories, as conda-lock has them; in directories of their own."""
    (project / "more").mkdir()
    both = [(tmp_path / "extra").as_uri(), channel.as_uri()]
    files = {
        "base.yml": {"channels": both, "dependencies": ["leaf 1.*", "tool", "pebble"]},
        "more/gpu.yml": {"channels": both[1:], "dependencies": ["native"], "category": "gpu"},
        "dev.yml": {"dependencies": ["leaf 1.*", "bark", "pebble"], "category": "dev", "channels": []},
    }
    make_package(tmp_path / "extra", "bark", "1.0", depends=["moss"])
    make_package(tmp_path / "extra", "moss", "1.0")
    make_package(tmp_path / "extra", "pebble", "1.0")
    index(tmp_path / "extra")
    for name, document in files.items():
        (project / name).write_text(yaml.safe_dump(document))
    request = LockRequest(
        environments=tuple(project / name for name in files),
        lockfile=project / "conda-lock.yml",
        platforms=("linux-64",),
    )
    write_lockfile(request)

    def names(*categories: str) -> list[str]:
        return [package.name for package in read_lock(request.lockfile, "linux-64", categories).packages]

    assert names() == ["leaf", "pebble", "tool", "twig"]
    assert names("gpu") == ["leaf", "native", "pebble", "tool", "twig"]
    assert names("gpu", "dev") == ["bark", "leaf", "moss", "native", "pebble", "tool", "twig"]
    assert {p.version for p in read_lock(request.lockfile, "linux-64").packages if p.name == "leaf"} == {"1.0"}
    sources = yaml.safe_load(request.lockfile.read_text())["metadata"]["sources"]
    assert sorted(sources) == ["base.yml", "dev.yml", "more/gpu.yml"]
    assert is_fresh(request)
    for name in files:
        text = (project / name).read_text()
        (project / name).write_text(text.replace("dependencies:", "dependencies:\n- twig"))
        assert not is_fresh(request), name
        (project / name).write_text(text)
    assert is_fresh(request)
    assert not is_fresh(replace(request, environments=request.environments[:2]))
    # another order of the files is the same environment
    assert is_fresh(replace(request, environments=request.environments[::-1]))


def test_files_that_contradict_each_other(project: Path, channel: Path) -> None:
    """conda-lock takes the last of two specs, and the last of two categories, without a word."""
    base, more = project / "base.yml", project / "more.yml"
    request = LockRequest(environments=(base, more), lockfile=project / "conda-lock.yml", platforms=("linux-64",))

    def write(path: Path, *dependencies: str, **document: Any) -> None:
        path.write_text(yaml.safe_dump({"channels": [channel.as_uri()], "dependencies": [*dependencies]} | document))

    write(base, "leaf 1.*", "twig")
    write(more, "Leaf >=2", f"{channel}::twig")
    said = fails(request, ConfigError)
    assert "requires leaf as `Leaf >=2`, but base.yml as `leaf 1.*`" in said
    assert "requires twig as" in said
    write(more, "leaf", category="gpu")
    write(base, "leaf", category="dev")
    assert "has leaf in category gpu, base.yml in dev" in fails(request, ConfigError)
    write(base, "twig")
    write(more, "leaf", channels=["file:///elsewhere"])
    assert "contradictory lists of channels" in fails(request, ConfigError)
    (project / "below").mkdir()
    write(project / "below" / "more.yml", "leaf", channels=["./here"])
    moved = replace(request, environments=(base, project / "below" / "more.yml"))
    assert "its channel ./here is relative" in fails(moved, ConfigError)
    base.write_text("dependencies: [leaf]\n")
    more.write_text("dependencies: [twig]\n")
    assert "has no `channels:`" in fails(request, ConfigError)
    more.write_text("dependencies: []\n")
    base.write_text("channels: x\ndependencies: [leaf]\n")
    said = fails(request, ConfigError)
    assert said.startswith("2 problems:")
    assert f"{base}: `channels:` is not a list" in said
    assert f"{more}: `dependencies:` lists no packages" in said


def test_categories_are_part_of_what_is_built(project: Path, channel: Path, tmp_path: Path) -> None:
    (project / "bundle.toml").write_text(
        CONFIG.replace('version = "1.0"', 'version = "1.0"\nenvironment = ["a.yml", "b.yml"]')
    )
    (project / "a.yml").write_text(f"channels: [{channel.as_uri()}]\ndependencies: [tool]\n")
    (project / "b.yml").write_text("dependencies: [native]\ncategory: dev\n")
    built = {}
    for option in ("--no-dev-dependencies", "--dev-dependencies", "--category=dev"):
        output = tmp_path / option
        done = run(project, "build", option, "--output-dir", str(output), "--format", "dir", "--json")
        assert done.returncode == 0, done.stderr
        (bundle,) = (path for path in output.iterdir() if path.is_dir())
        built[option] = json.loads((bundle / "manifest.json").read_text())
    names = {option: [p["name"] for p in manifest["packages"]] for option, manifest in built.items()}
    assert names["--no-dev-dependencies"] == ["leaf", "tool", "twig"]
    assert names["--dev-dependencies"] == names["--category=dev"] == ["leaf", "native", "tool", "twig"]
    assert built["--dev-dependencies"] == built["--category=dev"]
    assert built["--dev-dependencies"]["build_id"] != built["--no-dev-dependencies"]["build_id"]
    done = run(project, "build", "--category", "docs", "--output-dir", str(tmp_path))
    assert done.returncode == 2
    assert "no package is locked in category docs; locked categories: dev, main" in done.stderr

"""What a channel, its neighbour on another port, or a lockfile cannot get from the build machine."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from lockkit import locked
from tinychannel import index, make_package

from bundler.errors import ConfigError, LockError
from bundler.fetch.archives import fetch_archives
from bundler.fetch.channels import Access
from bundler.lock.condalock import LockRequest, read_lock, write_lockfile
from bundler.locked import Lock
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

SECRET = "s3cr3t-of-the-CI"


@dataclass
class Server:
    """Shows ``directory`` to everybody; ``asked`` are the paths, each with the password that came along."""

    directory: Path
    port: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.port}"


@contextmanager
def serve(directory: Path) -> Iterator[Server]:
    server = Server(directory)

    class Handler(SimpleHTTPRequestHandler):
        def send_head(self) -> Any:
            server.asked.append((self.path, self.headers["Authorization"]))
            return super().send_head()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as http:
        server.port = http.server_port
        thread = threading.Thread(target=lambda: http.serve_forever(poll_interval=0.05), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DEPLOY_TOKEN", SECRET)
    for name in ("RATTLER_AUTH_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


def request_for(project: Path, *channels: str, asks: tuple[str, ...] = ("mine",)) -> LockRequest:
    project.mkdir()
    environment = project / "environment.yml"
    environment.write_text(yaml.safe_dump({"channels": list(channels), "dependencies": list(asks)}))
    return LockRequest(
        environments=(environment,),
        lockfile=project / "conda-lock.yml",
        platforms=("linux-64",),
        access=Access(retries=1, read_timeout=5),
    )


def plain(channel: Path) -> Path:
    """With nothing but repodata.json."""
    for path in [*channel.rglob("*.zst"), *channel.rglob("*shards*")]:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return channel


@pytest.mark.parametrize("where", ["build", "base_url"])
def test_a_channel_learns_no_variable(tmp_path: Path, where: str) -> None:
    channel = tmp_path / "channel"
    make_package(channel, "mine", "1.0", build="$DEPLOY_TOKEN" if where == "build" else "0")
    index(channel)
    with serve(plain(channel)) as server:
        if where == "base_url":
            path = channel / "noarch/repodata.json"
            document = json.loads(path.read_bytes())
            document["info"]["base_url"] = f"{server.url()}/leak/$DEPLOY_TOKEN/"
            path.write_text(json.dumps(document | {"repodata_version": 2}))
        request = request_for(tmp_path / "project", server.url())
        with pytest.raises(LockError, match=r"a channel has a file name or URL with a `\$` for mine"):
            write_lockfile(request)
        assert not request.lockfile.exists()
        assert SECRET not in str(server.asked)


@pytest.mark.parametrize("beside", [False, True])
def test_a_channel_lists_no_file_of_this_machine(tmp_path: Path, *, beside: bool) -> None:
    """Whether or not there is a channel of this machine beside it; that one may."""
    make_package(tmp_path / "elsewhere", "mine", "1.0")
    for side in ("far", "near"):
        make_package(tmp_path / side, "mine" if side == "far" else "own", "1.0")
        index(tmp_path / side)
        path = plain(tmp_path / side) / "noarch/repodata.json"
        document = json.loads(path.read_bytes())
        document["info"]["base_url"] = f"{(tmp_path / ('elsewhere' if side == 'far' else 'moved')).as_uri()}/noarch/"
        path.write_text(json.dumps(document | {"repodata_version": 2}))
    near = (tmp_path / "near").as_uri()
    with serve(tmp_path / "far") as server:
        request = request_for(tmp_path / "project", server.url(), *([near] if beside else []))
        with pytest.raises(LockError, match="a channel lists a file of this machine for mine: file:///"):
            write_lockfile(request)
        assert not request.lockfile.exists()
    write_lockfile(request := request_for(tmp_path / "other", near, asks=("own",)))
    (package,) = read_lock(request.lockfile, "linux-64").packages
    assert package.url == f"{(tmp_path / 'moved').as_uri()}/noarch/own-1.0-0.conda"


def test_a_lockfile_learns_no_variable(tmp_path: Path) -> None:
    archive = make_package(tmp_path / "channel", "mine", "1.0")
    with serve(tmp_path / "channel") as server:
        for url in (f"{server.url('${DEPLOY_TOKEN}@')}/noarch", f"{server.url()}/${{DEPLOY_TOKEN}}/noarch"):
            package = locked(archive, url=f"{url}/{archive.name}")
            lock = Lock(path=tmp_path / "conda-lock.yml", platform="linux-64", packages=(package,))
            with pytest.raises(ConfigError, match="contains an environment variable") as raised:
                fetch_archives(lock, QuietProgress(), Access(retries=0, own=(server.url(),)))
            assert "package mine" in str(raised.value.where)
        assert server.asked == []


def test_a_password_stays_on_its_port(tmp_path: Path) -> None:
    """Two servers on one host, with the same path: rattler asks for a password by host and path alone."""
    for side in ("first", "second"):
        make_package(tmp_path / side / "room", "mine" if side == "first" else "other", "1.0")
        index(tmp_path / side / "room")
    with serve(tmp_path / "first") as first, serve(tmp_path / "second") as second:
        urls = (f"{first.url('me:${DEPLOY_TOKEN}@')}/room", f"{second.url()}/room")
        request = request_for(tmp_path / "project", *urls, asks=("mine", "other"))
        write_lockfile(request)
        lock = read_lock(request.lockfile, "linux-64")
        assert [package.channel for package in lock.packages] == list(urls)
        fetch_archives(lock, QuietProgress(), Access(own=urls))
        assert all(password for path, password in first.asked if "repodata" in path)
        assert {password for _, password in second.asked} == {None}
        assert any(path.endswith("other-1.0-0.conda") for path, _ in second.asked)


@pytest.mark.parametrize("secret", ["user", "user and nothing", "query"])
def test_secrets_that_look_like_none_are_not_kept(
    tmp_path: Path, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    make_package(tmp_path / "channel" / "room", "mine", "1.0")
    index(tmp_path / "channel" / "room")
    with serve(tmp_path / "channel") as server:
        url = {
            "user": f"{server.url('T0kenInTheUrl@')}/room",
            "user and nothing": f"{server.url('T0kenInTheUrl:@')}/room",
            "query": f"{server.url()}/room?sig=T0kenInTheUrl",
        }[secret]
        request = request_for(tmp_path / "project", url)
        with pytest.raises(ConfigError, match=r"contains a password or token|has a query") as raised:
            write_lockfile(request)
        assert "T0kenInTheUrl" not in raised.value.format_message() + caplog.text
        assert server.asked == []
        kept = [path for path in tmp_path.rglob("*") if path.is_file() and path != request.environments[0]]
        assert not [path for path in kept if b"T0kenInTheUrl" in path.read_bytes()]


def test_a_user_alone_may_be_a_variable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    make_package(tmp_path / "channel" / "room", "mine", "1.0")
    index(tmp_path / "channel" / "room")
    with serve(tmp_path / "channel") as server:
        request = request_for(tmp_path / "project", f"{server.url('${DEPLOY_TOKEN}@')}/room")
        write_lockfile(request)
        lock = read_lock(request.lockfile, "linux-64")
        fetch_archives(lock, QuietProgress(), Access(own=(f"{server.url('$DEPLOY_TOKEN@')}/room",)))
        wanted = "Basic " + base64.b64encode(f"{SECRET}:".encode()).decode()
        assert {password for path, password in server.asked if path.endswith(".conda")} == {wanted}
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
    assert SECRET not in caplog.text

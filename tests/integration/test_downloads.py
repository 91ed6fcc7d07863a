"""Servers that are slow, overloaded, lying or closed; what they send never becomes more than it is."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from channelserver import PASSWORD, TOKEN, USER, ChannelServer, Trouble, serve
from lockkit import lock_of, locked
from tinychannel import make_package

from bundler.errors import ConfigError, PrefixError
from bundler.fetch import download, pace
from bundler.fetch.archives import fetch_archives
from bundler.fetch.channels import Access
from bundler.locked import LockedPackage
from bundler.progress import QuietProgress, Transfer
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

NAME = "leaf-1.0-0.conda"
NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("RATTLER_AUTH_FILE", "NETRC", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Of a size that takes several chunks."""
    content = random.Random(0).randbytes(1_500_000)
    return make_package(tmp_path / "channel", "leaf", "1.0", files={"share/leaf": content})


@pytest.fixture
def server(archive: Path) -> Iterator[ChannelServer]:
    with serve(archive.parent.parent) as server:
        yield server


def at(archive: Path, base: str) -> LockedPackage:
    """As a channel at ``base`` has it."""
    return locked(archive, url=f"{base}/noarch/{archive.name}")


def fetch(*packages: LockedPackage, **access: Any) -> list[bytes]:
    """The archives, from the user's own channels; at most a second without a byte, unless said."""
    lock = lock_of(*packages)
    own = tuple(package.url.rsplit("/", 2)[0] for package in packages)
    defaults: dict[str, Any] = {"read_timeout": 1, "retries": 2, "own": own}
    settings = Access(**(defaults | access))
    return [archive.path.read_bytes() for archive in fetch_archives(lock, QuietProgress(), settings)]


def fails(*packages: LockedPackage, **access: Any) -> str:
    """What is said; nothing but what is whole and right has the name of an archive then."""
    with pytest.raises(PrefixError) as raised:
        fetch(*packages, **access)
    assert raised.value.exit_code == 5
    assert raised.value.remedy
    wanted = {package.sha256 for package in packages}
    for path in cache_dir("archives").rglob("*.conda"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name
        assert path.parent.name in wanted
    return raised.value.format_message()


def ranges(server: ChannelServer) -> list[str | None]:
    return [asked.headers.get("Range") for asked in server.requests(NAME)]


@pytest.mark.parametrize(
    ("troubles", "asked"),
    [
        pytest.param([Trouble(status=503), Trouble(status=502)], [None, None, None], id="fails twice"),
        pytest.param([Trouble(slam=True)], [None, None], id="hangs up"),
        pytest.param([Trouble(cut=0, stall=60)], [None, None], id="stalls at once"),
        pytest.param([Trouble(cut=700_000, stall=60)], [None, "bytes=700000-"], id="stalls in the middle"),
        pytest.param([Trouble(cut=700_000)], [None, "bytes=700000-"], id="is cut short"),
        pytest.param(
            [Trouble(cut=400_000)] * 3, [None, "bytes=400000-", "bytes=800000-", "bytes=1200000-"], id="crawls"
        ),
        pytest.param([Trouble(cut=700_000), Trouble(no_ranges=True)], [None, "bytes=700000-"], id="knows no ranges"),
        pytest.param([Trouble(cut=700_000, etag='"old"')], [None, "bytes=700000-"], id="has changed"),
        pytest.param([Trouble(chunked=True)], [None], id="tells no size"),
        pytest.param([Trouble(chunked=True, cut=700_000)], [None, "bytes=700000-"], id="tells no size, is cut"),
        pytest.param([Trouble(cut=700_000), Trouble(status=416)], [None, "bytes=700000-", None], id="416"),
        pytest.param([Trouble(cut=700_000, flipped=True, etag='W/"weak"')], [None, "bytes=700000-"], id="weak tag"),
    ],
)
def test_bad_luck_is_borne(
    server: ChannelServer, archive: Path, troubles: list[Trouble], asked: list[str | None]
) -> None:
    server.wrong[NAME] = list(troubles)
    assert fetch(at(archive, server.url())) == [archive.read_bytes()]
    assert ranges(server) == asked
    assert {path.name for path in cache_dir("archives").rglob("*") if path.is_file()} == {NAME, f".{NAME}.info"}


def test_bytes_of_two_files_are_not_put_together(server: ChannelServer, archive: Path) -> None:
    """A server that changes the file, keeps its size and says nothing: only the digest knows."""
    whole = archive.read_bytes()
    archive.write_bytes(bytes(len(whole)))
    server.wrong[NAME] = [Trouble(cut=700_000, etag='W/"a"')]
    package = at(archive, server.url())
    right = LockedPackage(**{**vars(package), "sha256": hashlib.sha256(whole).hexdigest()})
    with pytest.raises(PrefixError):
        fetch(right, retries=0)
    archive.write_bytes(whole)
    assert fetch(right) == [whole]
    assert ranges(server) == [None, "bytes=700000-", None]


def test_a_server_that_sends_the_rest_of_another_file(server: ChannelServer, archive: Path) -> None:
    """It has another tag, and does not look at ours."""
    server.wrong[NAME] = [Trouble(cut=700_000, etag='"one"'), Trouble(etag='"two"', no_if_range=True)]
    assert fetch(at(archive, server.url())) == [archive.read_bytes()]
    assert ranges(server) == [None, "bytes=700000-", None]


def test_a_build_goes_on_where_the_one_before_was_cut_off(server: ChannelServer, archive: Path) -> None:
    server.wrong[NAME] = [Trouble(cut=1_000_000)]
    said = fails(at(archive, server.url()), retries=0)
    assert "leaf" in said
    assert "the download was truncated: 1000000 bytes received, 501497 more were promised" in said
    assert "again; completed downloads are kept" in said
    assert fetch(at(archive, server.url())) == [archive.read_bytes()]
    assert ranges(server) == [None, "bytes=1000000-"]


def test_too_many_requests_are_made_when_the_server_says(server: ChannelServer, archive: Path) -> None:
    server.wrong[NAME] = [Trouble(status=429, headers={"Retry-After": "2"})]
    assert fetch(at(archive, server.url())) == [archive.read_bytes()]
    first, second = server.requests(NAME)
    assert 2 <= second.at - first.at < 20


def test_a_server_that_wants_to_be_left_alone_is(server: ChannelServer, archive: Path) -> None:
    server.wrong[NAME] = [Trouble(status=429, headers={"Retry-After": "3600"})] * 9
    before = time.monotonic()
    said = fails(at(archive, server.url()))
    assert "429 Too Many Requests and asks to retry in 3600 seconds" in said
    assert time.monotonic() - before < 60
    assert len(server.requests(NAME)) == 1


NO_REDIRECT = "the server redirects to what is not a valid http or https URL"


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (Trouble(status=503), "the server responded with 503 Service Unavailable (3 attempts)"),
        (Trouble(cut=0, stall=60), "no data received for 1 second (3 attempts)"),
        (Trouble(slam=True), "the connection was closed (3 attempts)"),
        (Trouble(cut=100_000, no_ranges=True), "the download was truncated: 100000 bytes received"),
        (Trouble(cut=100_000, silent=True, no_ranges=True), "sha256 is "),
        (Trouble(flipped=True), "sha256 is "),
        (Trouble(status=403), "the server responded with 403 Forbidden"),
        (Trouble(status=404), "the server responded with 404 Not Found"),
        (Trouble(status=302, headers={"Location": f"/open/noarch/{NAME}"}), "redirect loop"),
        (Trouble(status=302, headers={"Location": "file:///etc/passwd"}), NO_REDIRECT),
        (Trouble(status=302, headers={"Location": "data:,leaf"}), NO_REDIRECT),
        (Trouble(status=302, headers={"Location": "http://[leaf/"}), NO_REDIRECT),
    ],
)
def test_a_server_that_stays_bad(server: ChannelServer, archive: Path, trouble: Trouble, sentence: str) -> None:
    server.wrong[NAME] = [trouble] * 99
    said = fails(at(archive, server.url()))
    assert said.startswith("leaf")
    assert sentence in said
    assert f"{server.url()}/noarch/{NAME}" in said


def test_a_server_that_is_not_there(archive: Path) -> None:
    said = fails(at(archive, NOBODY_LISTENS), retries=1)
    assert "Connection refused (2 attempts)" in said
    assert "unknown host name" in fails(at(archive, "http://no-such-host.invalid"), retries=0)


def test_a_wrong_archive_is_named_and_another_mirror_asked(
    server: ChannelServer, archive: Path, tmp_path: Path
) -> None:
    liar = tmp_path / "liar" / "noarch" / NAME
    liar.parent.mkdir(parents=True)
    liar.write_bytes(archive.read_bytes()[:-1] + b"!")
    mirrors = (("https://channel.invalid/main", ((tmp_path / "liar").as_uri(), server.url())),)
    package = at(archive, "https://channel.invalid/main")
    assert fetch(package, mirrors=mirrors) == [archive.read_bytes()]
    kept = next(cache_dir("archives").rglob(NAME))
    kept.unlink()
    server.wrong[NAME] = [Trouble(status=404)] * 9
    said = fails(package, mirrors=mirrors)
    assert f"the lockfile says {package.sha256} ({liar.as_uri()})" in said
    assert "404" in said


def test_mirrors_are_asked_in_the_place_of_the_channel(server: ChannelServer, archive: Path, tmp_path: Path) -> None:
    """The first that answers; the channel itself only if it is among them."""
    package = at(archive, f"{NOBODY_LISTENS}/main")
    base = f"{NOBODY_LISTENS}/main"
    assert fetch(package, mirrors=((base, (server.url(),)),)) == [archive.read_bytes()]
    next(cache_dir("archives").rglob(NAME)).unlink()
    down = (f"{NOBODY_LISTENS}/mirror", f"{server.url()}/nowhere", server.url())
    assert fetch(package, mirrors=((base, down),)) == [archive.read_bytes()]
    next(cache_dir("archives").rglob(NAME)).unlink()
    assert fetch(package, mirrors=((base, ((tmp_path / "channel").as_uri(),)),)) == [archive.read_bytes()]
    next(cache_dir("archives").rglob(NAME)).unlink()
    said = fails(package, mirrors=((base, down[:2]),), retries=0)
    assert f"{down[0]}/noarch/{NAME}: Connection refused" in said
    assert f"{down[1]}/noarch/{NAME}: the server responded with 404" in said


def test_a_mirror_that_is_down_is_asked_first_only_once(server: ChannelServer, tmp_path: Path) -> None:
    """Each package would else wait for it."""
    archives = [make_package(tmp_path / "channel", f"p{number}", "1.0") for number in range(20)]
    with serve(tmp_path / "channel") as silent:
        silent.wrong[".conda"] = [Trouble(cut=0, stall=60)] * 99
        mirrors = (("https://channel.invalid", (silent.url(), server.url())),)
        found = fetch(*(at(one, "https://channel.invalid") for one in archives), mirrors=mirrors)
        assert found == [one.read_bytes() for one in archives]
        assert len(silent.asked) <= 8


def test_one_pool_of_connections_for_all(server: ChannelServer, tmp_path: Path) -> None:
    archives = [make_package(tmp_path / "channel", f"p{number}", "1.0") for number in range(40)]
    server.wrong[".conda"] = [Trouble(accompanied=True)]
    found = fetch(*(at(archive, server.url()) for archive in archives), read_timeout=60)
    assert found == [archive.read_bytes() for archive in archives]
    assert len(server.asked) == 40
    assert server.connections <= 8
    assert 1 < server.most_at_once <= 8


def test_the_first_failure_ends_the_rest(server: ChannelServer, archive: Path, tmp_path: Path) -> None:
    slow = make_package(tmp_path / "channel", "slow", "1.0")
    server.wrong[slow.name] = [Trouble(status=503, headers={"Retry-After": "100"})]
    server.wrong[NAME] = [Trouble(status=404)]
    before = time.monotonic()
    said = fails(at(slow, server.url()), at(archive, server.url()))
    assert said.startswith("leaf")
    assert time.monotonic() - before < 60


def test_a_failure_does_not_wait_for_a_silent_server(server: ChannelServer, archive: Path, tmp_path: Path) -> None:
    silent = make_package(tmp_path / "channel", "silent", "1.0", files={"x": random.Random(1).randbytes(1_000_000)})
    server.wrong[silent.name] = [Trouble(cut=500_000, stall=60)]
    server.wrong[NAME] = [Trouble(status=429, headers={"Retry-After": "2"}), Trouble(status=404)]
    before = time.monotonic()
    assert fails(at(silent, server.url()), at(archive, server.url()), read_timeout=60).startswith("leaf")
    assert time.monotonic() - before < 50
    assert fetch(at(silent, server.url())) == [silent.read_bytes()]
    assert server.requests(silent.name)[-1].headers["Range"] == "bytes=500000-"


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Trouble(stall=60, late=True), id="before its answer"),
        pytest.param(Trouble(stall=60, cut=100_000), id="in the middle"),
        pytest.param(Trouble(stall=60, cut=100_000, chunked=True), id="and tells no size"),
        pytest.param(Trouble(stall=60, cut=100_000, silent=True), id="and has no end but its own"),
    ],
)
def test_a_server_that_drips_is_given_up(
    server: ChannelServer, archive: Path, monkeypatch: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    """A byte before each read timeout: the server has sent too little by the time that the alarm goes off."""

    class Alarm(threading.Thread):
        def __init__(self, seconds: float, look: Callable[[], None]) -> None:
            assert seconds == 1200
            super().__init__()
            self._look = look

        def run(self) -> None:
            server.stalled.wait(60)
            self._look()

        def cancel(self) -> None:
            server.stalled.set()

    monkeypatch.setattr(pace, "Timer", Alarm)
    server.wrong[NAME] = [trouble]
    said = fails(at(archive, server.url()), retries=0, read_timeout=600)
    assert "the server is too slow: less than 1024 bytes a second for 1200 seconds" in said
    assert server.at_once == 1, "it was waited for"


def test_two_builds_at_once_fetch_an_archive_once(server: ChannelServer, archive: Path) -> None:
    server.wrong[NAME] = [Trouble(cut=1_000_000, stall=0.5)]
    package = at(archive, server.url())
    threads = [threading.Thread(target=fetch, args=(package,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ranges(server) == [None, "bytes=1000000-"]


def test_without_a_network_all_that_is_missing_is_named(server: ChannelServer, archive: Path, tmp_path: Path) -> None:
    others = [make_package(tmp_path / "channel", name, "1.0") for name in ("twig", "bark")]
    local = make_package(tmp_path / "local", "trunk", "1.0")
    packages = [at(one, server.url()) for one in (archive, *others)]
    packages.append(at(local, (tmp_path / "local").as_uri()))
    fetch(packages[0])
    server.asked.clear()
    said = fails(*packages, offline=True)
    assert "2 of 4 packages are not in the cache" in said
    assert "bark-1.0-0.conda\n    twig-1.0-0.conda" in said
    assert "leaf" not in said
    assert "trunk" not in said
    kept = next(cache_dir("archives").rglob(NAME))
    kept.write_bytes(b"damaged")
    with pytest.raises(PrefixError, match="3 of 4 packages are not in the cache"):
        fetch(*packages, offline=True)
    assert server.asked == []
    fetch(*packages)
    server.asked.clear()
    assert len(fetch(*packages, offline=True)) == 4
    assert server.asked == []


def test_a_proxy_is_used_and_its_password_not_told(
    server: ChannelServer, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{USER}:{PASSWORD}@127.0.0.1:{server.server_port}")
    package = at(archive, "http://channel.invalid/open")
    assert fetch(package) == [archive.read_bytes()]
    assert server.asked[0].headers["Proxy-Authorization"].startswith("Basic ")
    next(cache_dir("archives").rglob(NAME)).unlink()
    monkeypatch.setenv("http_proxy", f"http://{USER}:{PASSWORD}@127.0.0.1:9")
    said = fails(package, retries=0)
    assert "the proxy does not respond (Connection refused; set by http_proxy)" in said
    assert PASSWORD not in said
    monkeypatch.setenv("no_proxy", "channel.invalid")
    assert "unknown host name" in fails(package, retries=0)
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    assert "the proxy is a socks5 one, which is not supported" in fails(package)


def test_credentials_come_from_where_rattler_keeps_them(
    server: ChannelServer, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "auth.json"
    default = tmp_path / "home" / ".rattler" / "credentials.json"
    default.parent.mkdir(parents=True)
    basic = {"BasicHTTP": {"username": USER, "password": PASSWORD}}

    def get(room: str) -> None:
        assert fetch(at(archive, server.url(room))) == [archive.read_bytes()]
        next(cache_dir("archives").rglob(NAME)).unlink()

    def refused(room: str) -> str:
        said = fails(at(archive, server.url(room)))
        assert "401 Unauthorized" in said
        assert "Provide credentials for 127.0.0.1" in said
        return said

    refused("closed")
    default.write_text(json.dumps({"127.0.0.1": basic, "*.invalid": {"BearerToken": "x"}}))
    get("closed")
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(store))
    get("closed")
    store.write_text(json.dumps({"127.0.0.1": {"BearerToken": TOKEN}}))
    get("bearer")
    refused("closed")
    store.write_text(json.dumps({"127.0.0.1": {"OAuth": {"access_token": TOKEN, "client_id": "x"}}}))
    get("bearer")
    store.write_text(json.dumps({"127.0.0.1": {"CondaToken": TOKEN}}))
    get("token")
    store.write_text("{")
    with pytest.raises(ConfigError, match="cannot read its credentials: it is not JSON"):
        fetch(at(archive, server.url()))
    monkeypatch.delenv("RATTLER_AUTH_FILE")
    default.unlink()
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text(f"default login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    refused("closed")
    netrc.write_text(f"machine 127.0.0.1\nlogin {USER}\npassword {PASSWORD}\n")
    get("closed")
    netrc.rename(tmp_path / "netrc")
    refused("closed")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get("closed")


def test_credentials_in_the_lockfiles_variables(
    server: ChannelServer, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNEL_USER", USER)
    monkeypatch.setenv("CHANNEL_PASSWORD", PASSWORD)
    monkeypatch.setenv("CHANNEL_TOKEN", TOKEN)
    for base in (server.url("closed", "${CHANNEL_USER}:${CHANNEL_PASSWORD}@"), server.url("t/$CHANNEL_TOKEN/token")):
        assert fetch(at(archive, base)) == [archive.read_bytes()]
        next(cache_dir("archives").rglob(NAME)).unlink()
    monkeypatch.delenv("CHANNEL_TOKEN")
    with pytest.raises(ConfigError, match="CHANNEL_TOKEN, which is not set"):
        fetch(at(archive, server.url("t/${CHANNEL_TOKEN}/token")))


def test_a_password_goes_to_its_own_server_alone(
    server: ChannelServer, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to the one that it redirects to, and not to a mirror."""
    monkeypatch.setenv("CHANNEL_PASSWORD", PASSWORD)
    with serve(tmp_path / "channel") as other:
        elsewhere = other.url().replace("127.0.0.1", "localhost") + f"/noarch/{NAME}"
        server.wrong[NAME] = [Trouble(status=302, headers={"Location": elsewhere})]
        package = at(archive, server.url("closed", USER + ":${CHANNEL_PASSWORD}@"))
        assert fetch(package) == [archive.read_bytes()]
        next(cache_dir("archives").rglob(NAME)).unlink()
        assert fetch(package, mirrors=((server.url("closed"), (other.url(),)),)) == [archive.read_bytes()]
        assert len(other.asked) == 2
        assert not any("Authorization" in asked.headers for asked in other.asked)


def test_a_password_is_kept_for_a_redirect_to_the_same_server(
    server: ChannelServer, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNEL_PASSWORD", PASSWORD)
    server.wrong[NAME] = [Trouble(status=307, headers={"Location": f"/closed/noarch/{NAME}"})]
    assert fetch(at(archive, server.url("closed", USER + ":${CHANNEL_PASSWORD}@"))) == [archive.read_bytes()]
    assert ["Authorization" in asked.headers for asked in server.asked] == [True, True]


@pytest.mark.parametrize("trouble", [Trouble(status=403), Trouble(flipped=True), Trouble(cut=1000), Trouble(slam=True)])
def test_credentials_are_in_nothing_that_is_said_or_kept(
    server: ChannelServer,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: Trouble,
) -> None:
    caplog.set_level(logging.DEBUG, logger="bundler")
    store = tmp_path / "auth.json"
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(store))
    monkeypatch.setenv("CHANNEL_TOKEN", TOKEN)
    monkeypatch.setenv("CHANNEL_PASSWORD", PASSWORD)
    said = ""
    for entry, base in (
        ({"CondaToken": TOKEN}, server.url("token")),
        ({"BasicHTTP": {"username": USER, "password": PASSWORD}}, server.url("closed")),
        ({}, server.url("t/${CHANNEL_TOKEN}/token")),
        ({}, server.url("closed", USER + ":${CHANNEL_PASSWORD}@")),
    ):
        store.write_text(json.dumps({"127.0.0.1": entry}))
        server.wrong[NAME] = [trouble] * 9
        said += fails(at(archive, base), retries=1) + caplog.text
    kept = b"".join(path.read_bytes() for path in cache_dir("archives").rglob("*") if path.is_file())
    for secret in (TOKEN, PASSWORD):
        assert secret not in said
        assert secret.encode() not in kept


def test_a_transfer_counts_what_comes(server: ChannelServer, archive: Path) -> None:
    seen: list[tuple[int, int]] = []
    counted = Transfer(1, lambda now: seen.append((now.files, now.bytes)))

    class Watched(QuietProgress):
        @contextmanager
        def transfer(self, text: str, total: int) -> Iterator[Transfer]:
            yield counted

    package = at(archive, server.url())
    lock = lock_of(package)
    fetch_archives(lock, Watched(), Access())
    assert seen[-1] == (1, archive.stat().st_size)
    fetch_archives(lock, Watched(), Access())
    assert seen[-1] == (2, archive.stat().st_size)


@pytest.mark.parametrize("chunked", [False, True])
def test_what_would_fill_the_disk_is_not_taken(
    server: ChannelServer, archive: Path, monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    """A server may promise more than the disk holds, or send for ever."""
    server.wrong[NAME] = [Trouble(chunked=chunked)]
    left = iter([1_000_000, 1_000_000, -1])
    monkeypatch.setattr(download, "_LOOK_EACH", 1 << 18)
    monkeypatch.setattr(download, "space_left", lambda *_: next(left))
    said = fails(at(archive, server.url()))
    assert "the disk would be full (" in said
    assert ("it has no end, perhaps" if chunked else "1 MiB, and there is space for 1 MiB") in said
    assert len(server.requests(NAME)) == 1
    assert [path for path in cache_dir("archives").rglob("*") if path.is_file() and path.stat().st_size > 1000] == []

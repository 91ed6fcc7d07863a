"""Locking, with the real conda-lock, our solver and real channels on disk and on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tinychannel import index, make_package

from bundler.config.platforms import PlatformTable
from bundler.errors import BundlerError, ConfigError, LockError, MissingToolError
from bundler.fetch.channels import Access
from bundler.lock import runner
from bundler.lock.condalock import LockRequest, read_lock, write_lockfile
from bundler.lock.external.executable import find_solver
from bundler.lock.freshness.condalock import Freshness, freshness, is_fresh
from bundler.lock.shim.launcher import SolverSettings, write_launcher
from bundler.platforms import MACHINES
from bundler.progress import PlainProgress
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "pass-w0rd-of-the-channel"
NOBODY_LISTENS = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Project:
    """A directory with an environment.yml, and the request to lock it."""

    path: Path
    request: LockRequest

    @property
    def environment(self) -> Path:
        return self.request.environments[0]

    @property
    def lockfile(self) -> Path:
        return self.request.lockfile

    def asks_for(self, *dependencies: str, channels: tuple[str, ...] | None = None) -> Project:
        """Write the environment.yml; without ``channels`` it keeps those that it has."""
        if channels is None:
            channels = tuple(yaml.safe_load(self.environment.read_text())["channels"])
        document = {"channels": list(channels), "dependencies": list(dependencies)}
        self.environment.write_text(yaml.safe_dump(document))
        return self

    def lock(self, *update: str, **changes: Any) -> dict[str, str]:
        write_lockfile(replace(self.request, **changes), update=update)
        return self.locked()

    def locked(self, platform: str = "linux-64") -> dict[str, str]:
        return {package.name: package.version for package in read_lock(self.lockfile, platform).packages}

    def fails(self, kind: type[BundlerError], *update: str, **changes: Any) -> str:
        """What locking says when it fails; it has to leave everything as it was, and to speak in sentences."""
        before = self._state()
        with pytest.raises(kind) as raised:
            self.lock(*update, **changes)
        assert type(raised.value) is kind
        assert self._state() == before
        text = raised.value.format_message()
        assert "Traceback" not in text
        assert "conda-bundler-lock-" not in text, "the name of a temporary directory"
        return text

    def _state(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.path.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages that depend on one another in all the ways that the tests need."""
    path = tmp_path_factory.mktemp("channels") / "main"
    for version in ("1.0", "2.0", "3.0"):
        make_package(path, "leaf", version)
        make_package(path, "twig", version)
    make_package(path, "app", "1.0", depends=["leaf >=1", "twig", "__glibc >=2.17,<3.0.a0"])
    make_package(path, "app", "2.0", depends=["leaf >=2", "twig", "__glibc >=2.17,<3.0.a0"])
    make_package(path, "anchor", "1.0", depends=["leaf <2"])
    make_package(path, "broken", "1.0", depends=["leaf >=9"])
    make_package(path, "gpu", "1.0", depends=["__cuda >=11"], subdir="linux-64", extension=".tar.bz2")
    make_package(path, "future-gpu", "1.0", depends=["__cuda >=99"])
    make_package(path, "native", "1.0", subdir="linux-64", build="h1_3", build_number=3)
    make_package(path, "native", "1.1", subdir="linux-aarch64")
    index(path)
    return path


@pytest.fixture(scope="module")
def old_leaf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel that has nothing but the oldest leaf."""
    path = tmp_path_factory.mktemp("channels") / "old"
    make_package(path, "leaf", "1.0")
    index(path)
    return path


@pytest.fixture
def project(tmp_path: Path, channel: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "project"
    path.mkdir()
    request = LockRequest(
        environments=(path / "environment.yml",), lockfile=path / "conda-lock.yml", platforms=("linux-64",)
    )
    return Project(path, request).asks_for("app", channels=(str(channel),))


@dataclass(frozen=True)
class Server:
    """Serves a channel at ``/open``, at ``/closed`` with a password and below ``/t/<password>``."""

    port: int

    def url(self, path: str, credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.port}/{path}"


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self._let_in():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._let_in():
            super().do_HEAD()

    def _let_in(self) -> bool:
        wanted = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
        if self.path.startswith("/closed/") and self.headers["Authorization"] != wanted:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        for room in ("/open/", "/closed/", f"/t/{SECRET}/"):
            if self.path.startswith(room):
                self.path = "/" + self.path.removeprefix(room)
                return True
        self.send_error(404)
        return False

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serve(directory: Path) -> Iterator[Server]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Server(server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_a_lockfile_names_the_archives_of_the_channel(project: Project, channel: Path) -> None:
    project.asks_for("app", "native", "gpu").lock(platforms=("linux-64",), tables=tables(cuda="11.4"))
    packages = {package.name: package for package in read_lock(project.lockfile, "linux-64").packages}
    assert list(packages) == ["app", "gpu", "leaf", "native", "twig"]
    for package in packages.values():
        archive = channel / package.subdir / package.filename
        assert package.url == archive.as_uri()
        assert package.channel == channel.as_uri()
        assert package.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert package.md5 == hashlib.md5(archive.read_bytes()).hexdigest()
    assert packages["app"].depends == ("__glibc >=2.17,<3.0.a0", "leaf >=2", "twig")
    assert (packages["native"].build, packages["native"].subdir) == ("h1_3", "linux-64")
    assert packages["gpu"].filename.endswith(".tar.bz2")


def test_the_same_bytes_whatever_the_time_the_order_and_the_temporary_directory(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.asks_for("native").lock(platforms=("linux-64", "linux-aarch64"))
    first = project.lockfile.read_bytes()
    odd = tmp_path / "a temporary directory, it's odd %20"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    project.lock(platforms=("linux-aarch64", "linux-64", "linux-64"))
    assert project.lockfile.read_bytes() == first
    assert list(odd.iterdir()) == [], "left behind"
    assert sorted(path.name for path in project.path.iterdir()) == ["conda-lock.yml", "environment.yml"]


def test_several_platforms_in_one_lockfile(project: Project) -> None:
    project.asks_for("native", "leaf").lock(platforms=("linux-64", "linux-aarch64"))
    assert project.locked("linux-64") == {"leaf": "3.0", "native": "1.0"}
    assert project.locked("linux-aarch64") == {"leaf": "3.0", "native": "1.1"}


def test_the_lockfile_speaks_of_the_users_files(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = project.path / "locks" / "production"
    locks.mkdir(parents=True)
    (locks / "real.yml").touch(mode=0o640)
    (locks / "real.yml").chmod(0o640)
    link = locks / "prod-lock.yml"
    link.symlink_to("real.yml")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    write_lockfile(replace(project.request, lockfile=link))
    assert list(temporary.iterdir()) == []
    text = link.read_text()
    assert yaml.safe_load(text)["metadata"]["sources"] == ["../../environment.yml"]
    assert "conda-lock install -n YOURENV prod-lock.yml" in text
    assert link.is_symlink(), "a link stays a link"
    assert stat.S_IMODE(link.stat().st_mode) == 0o640


def tables(**of_linux_64: str) -> tuple[tuple[str, PlatformTable], ...]:
    """What ``[platforms.linux-64]`` becomes."""
    return (("linux-64", PlatformTable.model_validate(of_linux_64)),)


def test_virtual_packages_are_what_is_said_of_the_servers_not_the_build_machines(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "99")
    monkeypatch.setenv("CONDA_SUBDIR", "osx-64")
    said = project.asks_for("future-gpu").fails(LockError)
    assert "__cuda >=99" in said
    assert "On linux-64 __cuda is not available; [platforms.linux-64] in bundle.toml" in said
    assert "On linux-64 __cuda is 98.9" in project.fails(LockError, tables=tables(cuda="98.9"))
    assert project.lock(tables=tables(cuda="99.1")) == {"future-gpu": "1.0"}
    said = project.fails(LockError, tables=tables(cuda="99.1"), platforms=("linux-64", "linux-aarch64"))
    assert "On linux-aarch64 __cuda is not available" in said
    assert is_fresh(replace(project.request, tables=tables(cuda="99.1")))
    for other in (tables(cuda="99.2"), tables(cuda="99.1", glibc="2.34"), ()):
        assert not is_fresh(replace(project.request, tables=other)), "the lockfile belongs to what was said"


def test_the_microarchitecture_decides_between_builds(project: Project) -> None:
    channel = project.path / "levels"
    for level in ("x86_64", "x86_64_v3"):
        depends = [f"__archspec 1 {level}"]
        make_package(channel, "_level", "1.0", subdir="linux-64", build=level, depends=depends)
    make_package(channel, "kernel", "1.0", depends=["__linux >=4.18"])
    make_package(channel, "glibc", "1.0", depends=["__glibc >=2.34"])
    index(channel)
    project.asks_for("_level", "kernel", channels=(str(channel),))
    for level in ("x86_64", "x86_64_v3"):
        project.lock(tables=tables(archspec=level))
        assert read_lock(project.lockfile, "linux-64").packages[0].build == level
    assert "__linux is 4.17" in project.fails(LockError, tables=tables(linux="4.17"))
    project.asks_for("glibc")
    assert "__glibc is 2.28" in project.fails(LockError)
    assert project.lock(tables=tables(glibc="2.34")) == {"glibc": "1.0"}


def test_every_linux_has_virtual_packages(project: Project) -> None:
    """Of most conda-lock itself knows nothing."""
    project.asks_for("app").lock(platforms=tuple(MACHINES))
    assert {project.locked(platform)["app"] for platform in MACHINES} == {"2.0"}


def _write(project: Project, lines: str) -> None:
    channels = yaml.safe_load(project.environment.read_text())["channels"]
    project.environment.write_text(f"channels: {channels}\ndependencies:\n{lines}")


def test_selectors_of_which_conda_lock_knows_nothing(project: Project) -> None:
    _write(project, "  - leaf\n  - native  # [linux64]\n  - app  # [not win]\n  - broken  # [win or osx]\n")
    assert project.lock(platforms=("linux-64", "linux-aarch64"))["native"] == "1.0"
    assert {"leaf", "app"} <= set(project.locked("linux-64")) & set(project.locked("linux-aarch64"))
    assert "native" not in project.locked("linux-aarch64")
    write_lockfile(replace(project.request, platforms=("linux-s390x",)))
    assert "leaf" in project.locked("linux-s390x")
    assert "native" not in project.locked("linux-s390x")
    assert is_fresh(replace(project.request, platforms=("linux-s390x",)))


def test_a_comment_in_brackets_leaves_nothing_out(project: Project) -> None:
    _write(project, "  - leaf  # pinned [issue 12]\n  - app  # [todo]\n")
    assert {"leaf", "app"} <= set(project.lock())
    assert is_fresh(project.request)


def test_what_is_nothing_is_passed_over(project: Project) -> None:
    _write(project, '  - leaf\n  - ""\n  -\n  - pip:\n')
    assert set(project.lock()) == {"leaf"}


def test_a_package_that_is_named_twice(project: Project) -> None:
    _write(project, "  - leaf >=1\n  - app\n  - leaf <2\n")
    assert "requires leaf as `leaf >=1` and as `leaf <2`; combine them" in project.fails(ConfigError)
    _write(project, "  - leaf >=1\n  - leaf>=1\n")
    assert set(project.lock()) == {"leaf"}
    _write(project, "  - leaf 1.0  # [linux64]\n  - leaf >=1  # [aarch64]\n  - leaf >=1  # [aarch64]\n")
    assert project.lock(platforms=("linux-64", "linux-aarch64"))["leaf"] == "1.0"


def test_a_file_of_virtual_packages_goes_before_the_tables(project: Project) -> None:
    ours = project.path / "virtual-packages.yml"
    ours.write_text("subdirs: {linux-64: {packages: {__cuda: '99.1'}}}")
    assert project.asks_for("future-gpu", "__cuda >=99").lock() == {"future-gpu": "1.0"}
    assert "On linux-aarch64 __cuda is not available" in project.fails(LockError, platforms=("linux-aarch64",))
    theirs = ours.rename(project.path / "theirs.yml")
    assert is_fresh(replace(project.request, virtual_packages=theirs))
    assert is_fresh(replace(project.request, virtual_packages=theirs, tables=tables(cuda="1.0")))
    assert not is_fresh(project.request)
    theirs.write_text("subdirs: {linux-64: {packages: {cuda: '99.1'}}}")
    assert f"{theirs}: not a list of virtual packages" in project.fails(ConfigError, virtual_packages=theirs)


def test_what_is_built_for_another_platform_only(project: Project) -> None:
    project.lockfile.write_text("as it was")
    said = project.asks_for("native", "leaf").fails(LockError, platforms=("linux-s390x",))
    assert "The channels have native for linux-64, linux-aarch64, but not for linux-s390x." in said
    said = project.asks_for("native 1.1").fails(LockError)
    assert "The channels have native ==1.1 for linux-aarch64, but not for linux-64." in said
    assert "The channels have" not in project.asks_for("leaf >=9").fails(LockError)


def test_a_package_comes_from_the_first_channel_that_has_it(project: Project, channel: Path, old_leaf: Path) -> None:
    channels = (str(old_leaf), str(channel))
    assert project.asks_for("app", channels=channels).lock() == {"app": "1.0", "leaf": "1.0", "twig": "3.0"}
    said = project.asks_for("leaf >=2").fails(LockError)
    assert "strict channel priority" in said
    # unless another one is named
    assert project.asks_for(f"{channel}::leaf >=2").lock() == {"leaf": "3.0"}


def test_local_channels_are_found_from_the_file_and_from_the_command_line(
    project: Project, old_leaf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.path / "here").symlink_to(old_leaf)
    assert project.asks_for("leaf", channels=("./here",)).lock() == {"leaf": "1.0"}
    monkeypatch.chdir(old_leaf.parent)
    project.asks_for("leaf", channels=("nodefaults", NOBODY_LISTENS))
    assert project.lock(channels=("./old", "nodefaults")) == {"leaf": "1.0"}


@pytest.mark.network
def test_a_channel_on_the_network(project: Project, tmp_path: Path) -> None:
    make_package(tmp_path / "served", "leaf", "1.0")
    index(tmp_path / "served")
    with _serve(tmp_path / "served") as server:
        assert project.asks_for("leaf", channels=(server.url("open"),)).lock() == {"leaf": "1.0"}
        assert project.lock() == {"leaf": "1.0"}, "with the cached repodata"
        url = read_lock(project.lockfile, "linux-64").packages[0].url
        assert url == server.url("open/noarch/leaf-1.0-0.conda")
        make_package(tmp_path / "served", "leaf", "1.1")
        index(tmp_path / "served")
        assert project.lock() == {"leaf": "1.1"}, "the cached repodata is out of date"


@pytest.mark.network
def test_a_channel_that_does_not_answer_is_named(project: Project, channel: Path) -> None:
    with _serve(channel) as server:
        nowhere, closed = server.url("nowhere"), server.url("closed")
        assert f"no channel {nowhere}" in project.asks_for("leaf", channels=(nowhere,)).fails(LockError)
        assert f"channel {closed} denies access (401 Unauthorized)" in project.asks_for(
            "leaf", channels=(str(channel), closed)
        ).fails(LockError)
    said = project.asks_for("leaf", channels=(NOBODY_LISTENS,)).fails(LockError)
    assert f"channel {NOBODY_LISTENS} cannot be reached" in said
    assert "Connection refused" in said


def test_a_channel_that_is_none_is_named(project: Project, channel: Path, tmp_path: Path) -> None:
    assert "no channel /nowhere: " in project.asks_for("leaf", channels=("/nowhere",)).fails(LockError)
    damaged = tmp_path / "damaged"
    (damaged / "noarch").mkdir(parents=True)
    (damaged / "noarch" / "repodata.json").write_text('{"packages": {"leaf')
    said = project.asks_for("leaf", channels=(str(channel), str(damaged))).fails(LockError)
    assert f"channel {damaged} is corrupted" in said


def test_a_file_without_channels_gets_the_default(
    project: Project, channel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.environment.write_text("dependencies: [leaf]\n")
    request = replace(project.request, default_channel=channel.as_uri())
    write_lockfile(request, PlainProgress())
    assert project.locked() == {"leaf": "3.0"}
    assert f"no file has `channels:`, so packages come from {channel.as_uri()}" in capsys.readouterr().err
    assert is_fresh(request)
    assert not is_fresh(replace(request, default_channel="file:///elsewhere"))
    project.environment.write_text("channels: []\ndependencies: [leaf]\n")
    with pytest.raises(ConfigError, match="`channels:` is empty"):
        write_lockfile(request)


def test_defaults_are_anacondas_channels(
    project: Project, channel: Path, old_leaf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anaconda = "https://repo.anaconda.com/pkgs"
    mirrors = ((f"{anaconda}/main", (old_leaf.as_uri(),)), (f"{anaconda}/r", (channel.as_uri(),)))
    project.asks_for("app", channels=("defaults",))
    assert project.lock(access=Access(mirrors=mirrors)) == {"app": "1.0", "leaf": "1.0", "twig": "3.0"}
    urls = {one.name: one.channel for one in read_lock(project.lockfile, "linux-64").packages}
    assert urls == {"app": f"{anaconda}/r", "leaf": f"{anaconda}/main", "twig": f"{anaconda}/r"}
    with pytest.raises(LockError, match=r"repo\.anaconda\.com"):
        write_lockfile(replace(project.request, access=Access(offline=True)))
    write_lockfile(replace(project.request, access=Access(mirrors=mirrors)), PlainProgress())
    assert "terms of service" in capsys.readouterr().err


@pytest.mark.network
@pytest.mark.parametrize("room", ["closed", "t/${CHANNEL_PASSWORD}"])
def test_credentials_stay_in_the_environment(
    project: Project, channel: Path, room: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CHANNEL_USER", "me")
    monkeypatch.setenv("CHANNEL_PASSWORD", SECRET)
    with _serve(channel) as server:
        credentials = "$CHANNEL_USER:${CHANNEL_PASSWORD}@" if room == "closed" else ""
        url = server.url(room, credentials)
        assert project.asks_for("leaf", channels=(url,)).lock() == {"leaf": "3.0"}
        package = read_lock(project.lockfile, "linux-64").packages[0]
        assert SECRET not in project.lockfile.read_text()
        reached = server.url(room.replace("${CHANNEL_PASSWORD}", SECRET), f"me:{SECRET}@" if credentials else "")
        assert Access(own=(url,)).filled(package.url, where="x") == f"{reached}/noarch/leaf-3.0-0.conda"
        assert is_fresh(project.request)
        said = project.asks_for("broken").fails(LockError)
        if credentials:  # conda has no spec for a channel with a token
            said += project.asks_for(f"{url}::leaf >=9").fails(LockError)
        monkeypatch.setenv("CHANNEL_PASSWORD", SECRET + "-wrong")
        said += project.fails(LockError)
    assert "leaf >=9" in said
    assert SECRET not in said
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            f"https://me:{SECRET}@127.0.0.1/c",
            "the URL of a channel on https://127.0.0.1 contains a password or token",
        ),
        (
            f"https://127.0.0.1/t/{SECRET}/c",
            "the URL of a channel on https://127.0.0.1 contains a password or token",
        ),
        ("https://127.0.0.1/t/${NOT_SET}/c", "needs the environment variable NOT_SET, which is not set"),
    ],
)
def test_a_credential_in_a_url_would_be_shipped_with_the_lockfile(project: Project, url: str, sentence: str) -> None:
    for said in (
        project.fails(ConfigError, channels=(url,)),
        project.asks_for("a", channels=(url,)).fails(ConfigError),
    ):
        assert sentence in said
        assert SECRET not in said


def test_an_environment_that_is_not_utf_8(project: Project) -> None:
    project.environment.write_bytes("channels: [c]\ndependencies: [a]\n".encode("utf-16"))
    assert "is encoded in UTF-16, not UTF-8" in project.fails(ConfigError)
    project.environment.write_bytes("channels: [c]\ndependencies: [a] # \xe9\n".encode("latin-1"))
    assert "is encoded in an unknown encoding, not UTF-8" in project.fails(ConfigError)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "not YAML"),
        ("- python", "holds a list; expected a mapping"),
        ("What is this?", "holds a text; expected a mapping"),
        ("", "holds nothing; expected a mapping"),
        ("channels: [c]", "has no `dependencies:`"),
        ("channels: [c]\ndependencies: python", "`dependencies:` is not a list of packages"),
        ("channels: [c]\ndependencies: []", "`dependencies:` lists no packages"),
        (
            "channels: [c]\ndependencies: [a]\ndependencies: [b]",
            "has `dependencies:` in lines 2 and 3; only the last one",
        ),
        ("channels: [c]\ndependencies: [!!python/tuple [a]]", "not plain YAML"),
        (
            "channels: [c]\ndependencies: [a, {python: 3}]",
            "entry 2 of `dependencies:` is a mapping, `python: …`; write `- python =VERSION`",
        ),
        (
            "channels: [c]\ndependencies: [a, {pip: flask}]",
            "entry 2 of `dependencies:` is `pip:` with 'flask', which is not a list of strings",
        ),
        ("dependencies: [a]", "has no `channels:`"),
        ("channels: c\ndependencies: [a]", "`channels:` is not a list of names or URLs"),
        ("channels: [nodefaults]\ndependencies: [a]", "`channels:` is empty"),
        ("{}", "has no `dependencies:`; has no `channels:`"),
    ],
)
def test_what_is_no_environment_is_refused_before_anything_runs(
    project: Project, text: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.environment.write_text(text)
    monkeypatch.setattr(subprocess, "Popen", None)
    said = project.fails(ConfigError)
    assert said.startswith(f"{project.environment}: ")
    assert sentence in said


def test_files_that_are_not_there(project: Project) -> None:
    missing = project.path / "nowhere" / "environment.yml"
    assert project.fails(ConfigError, environments=(missing,)) == f"{missing}: no such file"
    assert "cannot be read: Is a directory" in project.fails(ConfigError, environments=(project.path,))
    assert "its directory does not exist" in project.fails(ConfigError, lockfile=project.path / "nowhere" / "lock.yml")
    assert "no platform" in project.fails(ConfigError, platforms=())


@pytest.mark.parametrize("spec", ["app >=1,<", "&&&"])
def test_a_malformed_spec_is_named(project: Project, spec: str) -> None:
    project.lockfile.write_text("as it was")
    said = project.asks_for("leaf", spec).fails(ConfigError)
    assert said.startswith(f"{project.environment}: dependencies: `{spec}` is not a valid match spec: ")
    assert "invalid" in said


def test_a_platform_that_is_none(project: Project) -> None:
    assert "linux-64bit is not a conda platform" in project.fails(ConfigError, platforms=("linux-64bit",))


@pytest.mark.parametrize(
    ("dependencies", "reasons"),
    [
        (
            ("broken",),
            [
                "cannot be solved for linux-64:",
                "└─ broken 1.0 would require",
                "leaf >=9, for which no candidates were found",
            ],
        ),
        (("nonexistent",), ["No candidates were found for nonexistent.", "Channels searched: "]),
        (("app 2.*", "leaf <2"), ["app 2.0 would require", "leaf >=2", "leaf 1.0, which conflicts"]),
    ],
)
def test_the_solvers_reasons_reach_the_user(
    project: Project, dependencies: tuple[str, ...], reasons: list[str]
) -> None:
    project.lockfile.write_text("as it was")
    said = project.asks_for(*dependencies).fails(LockError)
    assert said.startswith(f"{project.environment}: cannot be solved for")
    for reason in reasons:
        assert reason in said


def test_an_update_moves_what_is_named_and_nothing_else(project: Project) -> None:
    project.asks_for("app 1.*", "leaf 1.*", "twig 1.*").lock()
    project.asks_for("app", "leaf", "twig")
    assert project.lock("leaf") == {"app": "1.0", "leaf": "3.0", "twig": "1.0"}
    assert project.lock("app") == {"app": "2.0", "leaf": "3.0", "twig": "1.0"}


def test_an_update_moves_what_has_to_move_with_it(project: Project) -> None:
    project.asks_for("app 1.*", "leaf 1.*", "twig 1.*").lock()
    assert project.asks_for("leaf", "app", "twig").lock("app") == {"app": "2.0", "leaf": "3.0", "twig": "1.0"}


def test_an_update_stays_within_the_environment(project: Project) -> None:
    project.asks_for("app 1.*", "leaf 1.*").lock()
    assert project.asks_for("app", "leaf <2").lock("app") == {"app": "1.0", "leaf": "1.0", "twig": "3.0"}


def test_an_update_of_what_the_environment_does_not_name(project: Project) -> None:
    project.asks_for("app 1.*", "leaf 1.*", "twig 1.*").lock()
    assert project.asks_for("app").lock("twig") == {"app": "1.0", "leaf": "1.0", "twig": "3.0"}


def test_what_still_fits_is_kept(project: Project) -> None:
    project.asks_for("app 1.*", "leaf 1.*", "twig 1.*").lock()
    project.asks_for("app", "leaf >=2", "twig")
    write_lockfile(project.request, keep=True)
    assert project.locked() == {"app": "1.0", "leaf": "3.0", "twig": "1.0"}
    project.lockfile.write_text("- not a lockfile")
    write_lockfile(project.request, keep=True)
    assert project.locked() == {"app": "2.0", "leaf": "3.0", "twig": "3.0"}


def test_an_update_of_one_platform_leaves_the_others(project: Project) -> None:
    platforms = ("linux-64", "linux-aarch64")
    project.asks_for("leaf 1.*").lock(platforms=platforms)
    project.asks_for("leaf").lock("leaf", platforms=("linux-aarch64",))
    assert project.locked("linux-64") == {"leaf": "1.0"}
    assert project.locked("linux-aarch64") == {"leaf": "3.0"}


def test_what_cannot_be_updated(project: Project, old_leaf: Path) -> None:
    assert f"{project.lockfile}: no such lockfile" in project.fails(ConfigError, "leaf")
    project.asks_for("leaf").lock()
    assert "cannot update twig, bark: not locked for linux-64" in project.fails(ConfigError, "twig", "leaf", "bark")
    said = project.asks_for("leaf", channels=(str(old_leaf),)).fails(ConfigError, "leaf")
    assert "cannot update single packages: the channels have changed since the lockfile was written" in said
    project.lockfile.write_text("- not a lockfile")
    assert "not a conda-lock lockfile" in project.fails(LockError, "leaf")


def test_fresh_and_stale(project: Project, channel: Path, old_leaf: Path) -> None:
    both = ("linux-64", "linux-aarch64")
    assert not is_fresh(project.request), "no lockfile"
    project.lock(platforms=both)
    before = project.lockfile.read_bytes(), project.lockfile.stat().st_mtime_ns
    assert is_fresh(replace(project.request, platforms=both))
    assert is_fresh(project.request), "one of its platforms"
    assert not is_fresh(replace(project.request, platforms=("linux-64", "osx-64")))
    assert not is_fresh(replace(project.request, channels=(str(old_leaf),)))
    assert not is_fresh(project.asks_for("app", "leaf").request)
    assert is_fresh(project.asks_for("app").request), "as it was"
    assert not is_fresh(project.asks_for("app", channels=(str(channel), str(old_leaf))).request)
    assert (project.lockfile.read_bytes(), project.lockfile.stat().st_mtime_ns) == before


def test_conda_lock_is_not_asked_whatever_the_caches_hold(
    project: Project, channel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whether a lockfile is fresh is known without it: fresh, and stale by whatever has changed."""
    project.lock()
    monkeypatch.setattr(runner, "conda_lock_command", lambda: ["false"])
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "empty"))
    read = list[Path]()
    plain = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        read.append(path)
        return plain(path)

    with monkeypatch.context() as watched:
        watched.setattr(Path, "read_bytes", read_bytes)
        assert is_fresh(project.request)
    assert sorted(path.name for path in read) == ["conda-lock.yml", project.environment.name], "each of them once"
    virtual = project.path / "mine.yml"
    virtual.write_text("subdirs: {linux-64: {packages: {__glibc: '2.36'}}}\n")
    for other in (
        replace(project.request, tables=tables(glibc="2.30")),
        replace(project.request, virtual_packages=virtual),
        replace(project.request, channels=(f"{channel}-other",)),
    ):
        assert freshness(other).fresh is False
    before = project.environment.read_bytes()
    project.environment.write_bytes(before + b"# another\n")
    assert is_fresh(project.request), "a comment"
    project.environment.write_bytes(before)
    project.environment.with_name("virtual-packages.yaml").write_bytes(virtual.read_bytes())
    assert not is_fresh(project.request)


def test_what_is_written_in_an_unknown_way_conda_lock_is_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not twice, while nothing changes that it reads."""
    project.asks_for("app[version='>=0|>=9']").lock()
    assert is_fresh(project.request)
    monkeypatch.setattr(runner, "conda_lock_command", lambda: ["false"])
    assert is_fresh(project.request), "its answer is kept"
    for file in (project.environment, project.lockfile):
        before = file.read_bytes()
        file.write_bytes(before + b"# another\n")
        with pytest.raises(LockError):
            is_fresh(project.request)
        file.write_bytes(before)
    for kept in cache_dir("fresh").iterdir():
        kept.write_bytes(b"\xff torn")
    with pytest.raises(LockError):
        is_fresh(project.request)


@pytest.mark.parametrize(("glibc", "cuda"), [("2.28", "11.4"), ("2.17", "11.4"), ("2.17", None)])
def test_a_lockfile_of_conda_lock_with_what_it_assumes_itself(project: Project, glibc: str, cuda: str | None) -> None:
    project.lock(tables=tables(glibc=glibc, linux="5.10", **({"cuda": cuda} if cuda else {})))
    found = freshness(project.request)
    assert found.fresh
    (note,) = found.notes
    assert f"glibc {glibc}, Linux 5.10, {f'CUDA {cuda}' if cuda else 'no CUDA'}" in note
    said = freshness(replace(project.request, tables=tables(glibc="2.31")))
    assert said.fresh is False, "bundle.toml says what the servers have"
    assert f"servers with glibc {glibc}" in said.reason
    assert "bundle.toml says glibc 2.31, Linux 5.10, no CUDA" in said.reason
    project.asks_for("app", "leaf")
    assert freshness(project.request) == Freshness(fresh=False)


def test_what_cannot_be_checked_is_not_stale(project: Project) -> None:
    project.lock()
    with pytest.raises(ConfigError, match="is not a valid match spec"):
        is_fresh(project.asks_for("app ==").request)
    project.lockfile.write_text("- not a lockfile")
    with pytest.raises(LockError, match="not a conda-lock lockfile"):
        is_fresh(project.asks_for("app").request)


def test_a_solver_that_is_not_there(project: Project) -> None:
    assert "solver not found: no-such-conda" in project.fails(MissingToolError, solver="no-such-conda")


@pytest.mark.parametrize(
    ("tool", "says", "works"),
    [
        ("micromamba", "2.6.0", False),
        ("micromamba", "3.0.1", False),
        ("micromamba", "2.3.2", False),
        ("micromamba", "2.5.0", True),
        ("micromamba", "2.3.3", True),
        ("mamba", "2.1.1", False),
        ("mamba", "mamba 2.3.2\nconda 26.1.0", False),
        ("mamba", "2.1.0", True),
        ("mamba", "2.4.0", True),
        ("conda", "conda 26.7.0", True),
    ],
)
def test_versions_of_solvers_that_are_known_to_fail(tmp_path: Path, tool: str, says: str, works: bool) -> None:
    program = tmp_path / tool
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' '{says}'\n")
    program.chmod(0o755)
    if works:
        assert find_solver(str(program)) == program
        return
    with pytest.raises(MissingToolError, match=rf"{tool} [\d.]+ cannot be used: ") as refused:
        find_solver(str(program))
    assert refused.value.where == str(program)


def test_a_solver_of_ones_own(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any conda will do; the one at hand is our own solver, of which conda-lock knows nothing but the command line."""
    conda = write_launcher(tmp_path, SolverSettings())
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        assert project.asks_for("app 1.*", "leaf 1.*", "twig 1.*").lock(solver="conda")["leaf"] == "1.0"
    project.asks_for("app", "leaf")
    assert project.lock("leaf", solver="./conda") == {"app": "1.0", "leaf": "3.0", "twig": "1.0"}
    assert project.lock("app", solver=str(conda)) == {"app": "2.0", "leaf": "3.0", "twig": "1.0"}
    assert "'twig' is not named in it" in project.fails(ConfigError, "twig", solver=str(conda))
    said = project.asks_for("broken").fails(LockError, solver=str(conda))
    assert "cannot be solved for linux-64" in said
    assert "leaf >=9, for which no candidates were found." in said


def test_an_update_with_a_solver_of_ones_own_breaks_no_other_package(project: Project, tmp_path: Path) -> None:
    conda = str(write_launcher(tmp_path, SolverSettings()))
    locked = project.asks_for("anchor", "app 1.*").lock()
    assert project.asks_for("anchor", "app").lock("app", solver=conda) == locked


def test_nothing_steers_conda_lock_from_outside(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda = write_launcher(tmp_path, SolverSettings())
    spy = tmp_path / "spy-conda"
    spy.write_text(f'#!/bin/sh\nenv >"{tmp_path}/environ"\nexec "{conda}" "$@"\n')
    spy.chmod(0o755)
    for name in ("CONDA_PREFIX", "CONDA_LOCK_MAMBA", "CONDA_FLAGS", "MAMBA_ROOT_PREFIX", "PYTHONPATH", "RUNNER_TEMP"):
        monkeypatch.setenv(name, "/outside")
    monkeypatch.setenv("NETRC", "/kept")
    project.lock(solver=str(spy))
    environ = dict(line.split("=", 1) for line in (tmp_path / "environ").read_text().splitlines() if "=" in line)
    assert "/outside" not in environ.values()
    assert environ["NETRC"] == "/kept"
    assert "conda-bundler-lock-" in environ["TMPDIR"]
    assert environ["CONDA_BUNDLER_CACHE"] == os.environ["CONDA_BUNDLER_CACHE"]


def test_the_launcher_finds_its_python_and_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    """A path too long for a #! line and with blanks in it; a working directory with modules of our modules' names."""
    directory = tmp_path / ("a long directory " * 9)
    directory.mkdir()
    python = directory / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    conda = write_launcher(directory, SolverSettings())
    for name in ("rattler", "bundler", "json"):
        (project.path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    done = subprocess.run([conda, "info", "--json"], cwd=project.path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["pkgs_dirs"] == []
    assert stat.S_IMODE((directory / "settings.json").stat().st_mode) == 0o600

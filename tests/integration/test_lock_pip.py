"""Locking ``pip:`` lists: real conda-lock, real uv, a real channel on disk, a real package index on loopback."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import pytest
from pipkit import Project
from pypikit import Index, make_sdist, make_wheel, serve_index
from tinychannel import index, make_package

from bundler.errors import ConfigError, LockError
from bundler.fetch.channels import Access
from bundler.lock.condalock import write_lockfile
from bundler.lock.freshness.condalock import is_fresh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

SECRET = "pass/w0rd@of:the%index"


@pytest.fixture
def pypi(tmp_path: Path) -> Iterator[Index]:
    with serve_index(tmp_path / "wheels") as index:
        yield index


def test_wheels_are_locked_with_what_they_need(project: Project, pypi: Index) -> None:
    app = make_wheel(pypi.directory, "My.App", "1.0", requires=["leaf>=1", "twig; python_version >= '3.11'"])
    make_wheel(pypi.directory, "twig", "2.0", requires=["never; sys_platform == 'win32'"])
    for version in ("1.0", "9.0"):
        make_wheel(pypi.directory, "leaf", version)
    found = project.asks_for("my-app", conda=("python", "leaf")).lock()
    assert {name: package.version for name, package in found.items()} == {"my-app": "1.0", "twig": "2.0"}, (
        "the leaf that conda has will do"
    )
    assert found["my-app"].sha256 == hashlib.sha256(app.read_bytes()).hexdigest()
    assert found["my-app"].filename == app.name
    assert is_fresh(project.request())
    assert not is_fresh(project.asks_for("my-app", "twig", conda=("python", "leaf")).request())


def test_one_wheel_is_updated_and_no_other(project: Project, pypi: Index) -> None:
    for name in ("one", "two"):
        make_wheel(pypi.directory, name, "1.0")
    project.asks_for("one", "two").lock()
    for name in ("one", "two"):
        make_wheel(pypi.directory, name, "2.0")
    write_lockfile(project.request(), update=("two",))
    assert {name: package.version for name, package in project.wheels().items()} == {"one": "1.0", "two": "2.0"}


def test_each_platform_gets_its_own_wheel(project: Project, pypi: Index) -> None:
    for machine in ("x86_64", "aarch64"):
        make_wheel(pypi.directory, "fast", "1.0", tag=f"cp311-cp311-manylinux_2_17_{machine}")
    make_wheel(pypi.directory, "fast", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    project.asks_for("fast").lock(project.request(("linux-64", "linux-aarch64")))
    assert project.wheels()["fast"].filename == "fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    assert project.wheels("linux-aarch64")["fast"].filename == "fast-1.0-cp311-cp311-manylinux_2_17_aarch64.whl"


def test_a_conda_package_of_another_name_is_no_reason_to_lock_a_wheel(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["tzdata"])
    make_wheel(pypi.directory, "tzdata", "2026.6")
    assert project.asks_for("app", conda=("python", "python-tzdata")).lock().keys() == {"app"}


def test_the_newest_names_are_asked_for_once(project: Project, pypi: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["sheet"])
    make_wheel(pypi.directory, "sheet", "1.0")
    newest = {"sheet": {"pypi_name": "Sheet", "conda_name": "leaf"}, "leaf": {"pypi_name": "blade", "conda_name": "x"}}
    (pypi.directory / "names.json").write_text(json.dumps(newest))
    monkeypatch.setenv("CONDA_BUNDLER_PYPI_NAMES", f"http://127.0.0.1:{pypi.port}/open/files/names.json")
    project.asks_for("app", conda=("python", "leaf"))
    assert project.lock().keys() == {"app"}
    (pypi.directory / "names.json").unlink()
    assert project.lock().keys() == {"app"}, "the table that was kept"
    assert sum("names.json" in path for path in pypi.asked) == 1


@pytest.mark.parametrize("content", [b'["<html>"]', None])
def test_names_that_cannot_be_had_are_no_reason_to_fail(
    project: Project, pypi: Index, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["tzdata"])
    make_wheel(pypi.directory, "tzdata", "2026.6")
    if content:
        (pypi.directory / "names.json").write_bytes(content)
    monkeypatch.setenv("CONDA_BUNDLER_PYPI_NAMES", f"http://127.0.0.1:{pypi.port}/open/files/names.json")
    assert project.asks_for("app", conda=("python", "python-tzdata")).lock().keys() == {"app"}
    assert any("names.json" in path for path in pypi.asked)


def test_credentials_of_an_index_are_nowhere(
    project: Project,
    pypi: Index,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pypi, "password", SECRET)
    monkeypatch.setenv("INDEX_PASSWORD", SECRET)
    caplog.set_level(logging.DEBUG)
    make_wheel(pypi.directory, "app", "1.0")
    closed = pypi.url("me:${INDEX_PASSWORD}@", closed=True)
    found = project.asks_for("app", index=closed).lock()
    assert found["app"].url == closed.replace("/simple", "/files/app-1.0-py3-none-any.whl")
    everything = project.lockfile.read_text() + caplog.text
    assert SECRET not in everything
    assert quote(SECRET, safe="") not in everything
    address = urlsplit(Access(own=(closed,)).filled(found["app"].url, where="x", quoted=True))
    assert unquote(address.password or "") == SECRET
    monkeypatch.setenv("INDEX_PASSWORD", "not-the-password")
    said = project.fails(LockError)
    assert "authentication to the package index on 127.0.0.1:" in said
    assert "failed (HTTP 401)" in said
    assert "not-the-password" not in said
    monkeypatch.delenv("INDEX_PASSWORD")
    assert "needs the environment variable INDEX_PASSWORD, which is not set" in project.fails(ConfigError)
    said = project.asks_for("app", index=pypi.url(f"me:{quote(SECRET, safe='')}@", closed=True)).fails(ConfigError)
    assert "the URL of the package index" in said
    assert quote(SECRET, safe="") not in said


def test_source_distributions_are_refused_with_all_of_them(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["old", "older"])
    make_sdist(pypi.directory, "old", "1.0")
    make_sdist(pypi.directory, "older", "0.5")
    said = project.asks_for("app").fails(LockError)
    assert "no wheel available, only source, for:" in said
    assert "old 1.0 for linux-64: old-1.0.tar.gz" in said
    assert "older 0.5 for linux-64: older-0.5.tar.gz" in said
    assert "[bundle] inject" in said


def test_a_source_distribution_that_is_replaced_may_be_locked(project: Project, pypi: Index) -> None:
    make_sdist(pypi.directory, "old", "1.0")
    project.asks_for("old")
    assert project.lock(project.request(injected=frozenset({"old"})))["old"].filename == "old-1.0.tar.gz"


@pytest.mark.parametrize("algorithm", ["", "sha512"])
def test_wheels_without_sha256_are_downloaded_for_it(
    project: Project, pypi: Index, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    app = make_wheel(pypi.directory, "app", "1.0")
    monkeypatch.setattr(pypi, "metadata", True)
    monkeypatch.setattr(pypi, "algorithm", algorithm)
    assert project.asks_for("app").lock()["app"].sha256 == hashlib.sha256(app.read_bytes()).hexdigest()
    said = project.fails(LockError, project.request(access=Access(offline=True)))
    if algorithm:
        assert "no sha256 is known for:\n    app 1.0 for linux-64: app-1.0-py3-none-any.whl" in said
        monkeypatch.setattr(pypi, "lies", True)
        assert "does not match the sha512 on the package index" in project.fails(LockError)
    else:
        assert "the package index has no sha256 for app-1.0-py3-none-any.whl" in said


def test_what_no_index_has(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["nowhere"])
    said = project.asks_for("app").fails(LockError)
    assert "cannot be solved for" in said
    assert "nowhere" in said
    make_wheel(pypi.directory, "winner", "1.0", tag="cp311-cp311-win_amd64")
    said = project.asks_for("winner").fails(LockError)
    assert "the package index has winner 1.0, but no wheel of it for this platform and Python" in said
    assert "only for win_amd64" in said
    assert project.asks_for("leaf", conda=("python", "leaf")).lock() == {}, "what conda has no index has to have"


def test_an_index_that_does_not_answer(project: Project) -> None:
    said = project.asks_for("app", index="http://127.0.0.1:9/simple").fails(LockError)
    assert said.startswith(f"{project.environment}: dependencies: pip: ")
    assert "the package index on 127.0.0.1:9 cannot be reached: Connection refused" in said


def test_an_index_that_breaks_down(project: Project, pypi: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi, "broken", 507)
    said = project.asks_for("app").fails(LockError)
    assert f"the package index on 127.0.0.1:{pypi.port} responded with 507" in said


def test_wheels_need_a_python(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0")
    shutil.rmtree(project.path)
    project.path.mkdir()
    bare = project.path.parent / "bare"
    make_package(bare, "pip", "24.0")
    make_package(bare, "other", "1.0")
    index(bare)
    said = Project(project.path, bare, pypi).asks_for("app", conda=("other",)).fails(ConfigError)
    assert "a `pip:` list requires Python" in said

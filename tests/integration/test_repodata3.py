"""Channels with conditional dependencies, extras and flags (CEPs 43, 44, 45, 48), in each form of repodata."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import yaml
from channelserver import serve
from commandkit import conda_bundler
from rattler.index import index_fs
from tinychannel import File, make_package

from bundler.fetch.channels import Access
from bundler.lock.condalock import read_lock, write_lockfile
from bundler.lock.freshness.condalock import is_fresh
from bundler.lock.request import LockRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("own_cache")]

FORMS = ("json", "zst", "shards", "file")


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("v3") / "main"
    make_package(path, "leaf", "1.0")
    make_package(path, "leaf", "2.0", flags=["cuda"])
    make_package(path, "gpulib", "1.0")
    make_package(path, "old-python-only", "1.0")
    make_package(path, "unix-only", "1.0")
    make_package(path, "tool", "1.0")
    make_package(
        path,
        "tool",
        "2.0",
        depends=[
            'unix-only[when="__unix and leaf >=1"]',
            'old-python-only[when="leaf <1 or __win"]',
            "twig[extras=[gpu]]",
            "leaf[flags=[cuda]]",
        ],
        files={"bin/tool": File(content=b"#!/bin/sh\n", mode=0o755)},
    )
    make_package(path, "twig", "1.0", extra_depends={"gpu": ["gpulib >=1"], "docs": ["old-python-only"]})
    asyncio.run(index_fs(path, repodata_revisions=["v3"]))
    assert "tool-2.0-0" in json.loads((path / "noarch" / "repodata.json").read_bytes())["v3"]["conda"]
    return path


@pytest.fixture(params=FORMS)
def url(request: pytest.FixtureRequest, channel: Path, tmp_path: Path) -> Iterator[str]:
    """The channel over HTTP with just one form of repodata, and as a directory."""
    if request.param == "file":
        yield channel.as_uri()
        return
    copy = tmp_path / "served"
    kept = {"json": "repodata.json", "zst": "repodata.json.zst", "shards": "repodata_shards.msgpack.zst"}
    for path in channel.rglob("*"):
        if path.is_file() and (not path.name.startswith("repodata") or path.name == kept[request.param]):
            to = copy / path.relative_to(channel)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.symlink_to(path)
    with serve(copy) as server:
        yield server.url()


def write_project(project: Path, url: str) -> LockRequest:
    project.mkdir()
    environment = project / "environment.yml"
    environment.write_text(yaml.safe_dump({"channels": [url], "dependencies": ["tool"]}))
    (project / "bundle.toml").write_text(
        '[bundle]\nname = "small"\nversion = "1.0"\n[services.small]\ncommand = ["tool"]\nprofile = "generic"\n'
    )
    return LockRequest(
        environments=(environment,),
        lockfile=project / "conda-lock.yml",
        platforms=("linux-64",),
        access=Access(retries=1, read_timeout=5),
    )


def test_the_newest_build_is_locked_whatever_repodata_it_is_in(url: str, tmp_path: Path) -> None:
    request = write_project(tmp_path / "project", url)
    write_lockfile(request)
    packages = {package.name: package for package in read_lock(request.lockfile, "linux-64").packages}
    versions = {name: package.version for name, package in packages.items()}
    assert versions == {"tool": "2.0", "leaf": "2.0", "twig": "1.0", "gpulib": "1.0", "unix-only": "1.0"}
    assert packages["tool"].depends == ("leaf", "twig", "unix-only")
    assert packages["twig"].depends == ("gpulib >=1",)
    assert is_fresh(request)
    write_lockfile(request, update=("leaf",))
    assert is_fresh(request)


def test_it_builds(channel: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_project(project, channel.as_uri())
    done = conda_bundler("build", project, "--output-dir", tmp_path / "dist", "--json")
    assert done.returncode == 0, done.stderr
    found = conda_bundler("inspect", "--json", *(tmp_path / "dist").glob("*.tar"))
    names = {package["name"] for package in json.loads(found.stdout)["packages"]}
    assert {"tool", "gpulib", "unix-only"} <= names
    assert "old-python-only" not in names

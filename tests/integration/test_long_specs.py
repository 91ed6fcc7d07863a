"""What conda-lock's parser drops of an environment.yml reaches our solver, and its content hash stays conda-lock's."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from rattler.index import index_fs
from tinychannel import make_package

from bundler.errors import ConfigError, LockError
from bundler.lock.condalock import read_lock, write_lockfile
from bundler.lock.freshness.condalock import freshness, is_fresh
from bundler.lock.request import LockRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each package the build that nobody names would be taken last of all."""
    path = tmp_path_factory.mktemp("long") / "main"
    for number in range(3):
        make_package(path, "counted", "1.0", build=f"h_{number}", build_number=number)
        make_package(path, "hashed", "1.0", build=f"h_{number}", build_number=number)
        make_package(path, "summed", "1.0", build=f"h_{number}", build_number=number)
        make_package(path, "linked", "1.0", build=f"h_{number}", build_number=number)
    make_package(path, "placed", "1.0", subdir="linux-64", build="h_0")
    make_package(path, "placed", "1.0", build="n_1", build_number=1)
    make_package(path, "flagged", "1.0", flags=["cpu"])
    make_package(path, "flagged", "2.0", flags=["cuda"])
    make_package(path, "extended", "1.0", extra_depends={"gpu": ["driver"]})
    for name in ("driver", "wanted", "unwanted", "selected"):
        make_package(path, name, "1.0")
    asyncio.run(index_fs(path, repodata_revisions=["v3"]))
    return path


@pytest.fixture
def request_(tmp_path: Path) -> LockRequest:
    return LockRequest(
        environments=(tmp_path / "environment.yml",), lockfile=tmp_path / "conda-lock.yml", platforms=("linux-64",)
    )


def write(request: LockRequest, channel: Path, entries: Iterable[str | dict[str, str]]) -> LockRequest:
    document = {"channels": [channel.as_uri()], "dependencies": list(entries)}
    request.environments[0].write_text(yaml.safe_dump(document))
    return request


def locked(request: LockRequest) -> dict[str, str]:
    return {one.name: one.filename for one in read_lock(request.lockfile, "linux-64").packages}


def conda_locks_word(request: LockRequest) -> bool:
    """Whether conda-lock itself calls the lockfile fresh, with the virtual packages that it was locked with."""
    from bundler.lock.request import assumed_packages

    virtual = request.lockfile.with_name("virtual.yml")
    virtual.write_text(yaml.safe_dump({"subdirs": assumed_packages(request)}))
    refusing = request.lockfile.with_name("conda")
    refusing.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\nexit 1\n')
    refusing.chmod(0o755)
    argv = [
        *(str(Path(sys.executable).parent / "conda-lock"), "lock", "--check-input-hash", "--conda", str(refusing)),
        *("--no-mamba", "--no-micromamba", "-f", str(request.environments[0]), "--lockfile", str(request.lockfile)),
        *("-p", "linux-64", "--virtual-package-spec", str(virtual)),
    ]
    return subprocess.run(argv, capture_output=True, check=False, cwd=request.lockfile.parent).returncode == 0


def test_keys_that_conda_lock_drops_decide(channel: Path, request_: LockRequest) -> None:
    """It can read all of these lines, so what it says of the file itself holds for the lockfile."""
    sha256 = hashlib.sha256((channel / "noarch" / "hashed-1.0-h_0.conda").read_bytes()).hexdigest()
    md5 = hashlib.md5((channel / "noarch" / "summed-1.0-h_1.conda").read_bytes(), usedforsecurity=False).hexdigest()
    entries: list[str | dict[str, str]] = [
        'counted[version=">=1", build_number="<1"]',
        f"hashed[sha256={sha256}]",
        f"summed 1.*[md5={md5}]",
        f"linked[url={channel.as_uri()}/noarch/linked-1.0-h_1.conda]",
        "placed[fn=placed-1.0-h_0.conda,subdir=linux-64]",
        {"sel(linux)": "selected"},
        {"sel(win)": "no-such-package"},
    ]
    write_lockfile(write(request_, channel, entries))
    files = {
        "counted": "counted-1.0-h_0.conda",
        "hashed": "hashed-1.0-h_0.conda",
        "linked": "linked-1.0-h_1.conda",
        "placed": "placed-1.0-h_0.conda",
        "selected": "selected-1.0-0.conda",
        "summed": "summed-1.0-h_1.conda",
    }
    assert locked(request_) == files
    assert is_fresh(request_)
    assert conda_locks_word(request_)
    changed = [text.replace("<1", "<2") if isinstance(text, str) else text for text in entries]
    assert freshness(write(request_, channel, changed)).fresh is False, "conda-lock sees no difference, we do"
    assert freshness(write(request_, channel, [*entries[:-2], {"sel(unix)": "wanted"}])).fresh is False


def test_keys_that_conda_lock_cannot_read(channel: Path, request_: LockRequest) -> None:
    entries = [
        "flagged[flags=[cpu]]",
        "extended[extras=[gpu]]",
        "wanted[when='__linux']",
        "unwanted[when='__cuda or __win']",
    ]
    write_lockfile(write(request_, channel, entries))
    assert locked(request_) == {
        "driver": "driver-1.0-0.conda",
        "extended": "extended-1.0-0.conda",
        "flagged": "flagged-1.0-0.conda",
        "wanted": "wanted-1.0-0.conda",
    }
    assert "absent" not in request_.lockfile.read_text()
    assert is_fresh(request_)
    write_lockfile(write(request_, channel, ["wanted", "unwanted[when='wanted']"]))
    assert "unwanted" in locked(request_), "a condition may be of what else is locked"


@pytest.mark.parametrize(
    ("entry", "kind", "sentence"),
    [
        ("placed[subdir=linux-64]", ConfigError, "placed-1.0-n_1.conda, is in noarch; specify the build as well"),
        ("extended[extras=[cuda]]", ConfigError, "extended-1.0-0.conda has no extra cuda (available: gpu)"),
        ("counted[md5=12]", ConfigError, "`counted[md5=12]` is not a valid match spec"),
        ("counted[build_number=7]", LockError, "counted"),
        (
            "other::counted[build_number=1]",
            ConfigError,
            "channel other is not one of the channels in use",
        ),
        (
            "https://h/c/noarch/counted-1.0-h_1.conda",
            ConfigError,
            "the channel https://h/c is not one of the channels in use",
        ),
    ],
)
def test_what_the_solver_cannot_give(
    channel: Path, request_: LockRequest, entry: str, kind: type[ConfigError | LockError], sentence: str
) -> None:
    with pytest.raises(kind) as refused:
        write_lockfile(write(request_, channel, [entry]))
    said = refused.value.format_message()
    assert said.startswith(str(request_.environments[0]))
    assert sentence in said
    assert not request_.lockfile.exists()


def test_an_external_solver_would_not_hear_of_them(channel: Path, request_: LockRequest) -> None:
    asked = write(request_, channel, ["wanted", "counted[build_number=1,md5=x]", {"sel(linux)": "selected"}])
    with pytest.raises(ConfigError) as refused:
        write_lockfile(replace(asked, solver="conda"))
    said = refused.value.format_message()
    assert "`counted[build_number=1,md5=x]` (build_number, md5)" in said
    assert "Omit --solver, or specify the package by version and build only" in said
    assert "selected" not in said

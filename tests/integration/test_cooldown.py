"""A lock with `[lock] exclude_newer`, and which Python is locked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from pipkit import Project, make_channel
from pypikit import make_wheel, serve_index
from tinychannel import index, make_package

from bundler.cooldown import as_text
from bundler.errors import ConfigError, LockError
from bundler.lock.condalock import read_lock, write_lockfile
from bundler.lock.freshness.condalock import is_fresh
from bundler.lock.request import LockRequest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("own_cache")]

OLD, NEW = 1_600_000_000_000, 1_700_000_000_000  # 2020 and 2023
BETWEEN = "2022-01-01"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cooldown") / "main"
    make_package(path, "leaf", "1.0", timestamp=OLD)
    make_package(path, "leaf", "2.0", timestamp=NEW)
    make_package(path, "young", "1.0", timestamp=NEW)
    make_package(path, "undated", "1.0")
    make_package(path, "python", "3.13.0", subdir="linux-64", build="h1_100_cp313", timestamp=OLD)
    make_package(path, "python", "3.13.1", subdir="linux-64", build="h1_100_cp313t", timestamp=OLD)
    make_package(path, "python-freethreading", "3.13", depends=["python 3.13.* *_cp313t"], timestamp=OLD)
    make_package(path, "hidden", "1.0", depends=["python-freethreading"], timestamp=OLD)
    index(path)
    for repodata in path.glob("*/repodata.json"):  # when they were indexed is a minute ago
        document = json.loads(repodata.read_bytes())
        for record in document["packages.conda"].values():
            del record["indexed_timestamp"]
        repodata.write_text(json.dumps(document))
        for other in (*repodata.parent.glob("*.zst"),):
            other.unlink()
    return path


def request_for(project: Path, channel: Path, *dependencies: str) -> LockRequest:
    environment = project / "environment.yml"
    environment.write_text(yaml.safe_dump({"channels": [channel.as_uri()], "dependencies": list(dependencies)}))
    return LockRequest(environments=(environment,), lockfile=project / "conda-lock.yml", platforms=("linux-64",))


def locked(request: LockRequest) -> dict[str, str]:
    write_lockfile(request)
    return {package.name: package.version for package in read_lock(request.lockfile, "linux-64").packages}


def test_what_is_newer_is_not_locked(channel: Path, tmp_path: Path) -> None:
    plain = request_for(tmp_path, channel, "leaf")
    held = replace(plain, exclude_newer=BETWEEN)
    assert locked(held) == {"leaf": "1.0"}
    custom = yaml.safe_load(held.lockfile.read_text())["metadata"]["custom_metadata"]
    assert custom["conda-bundler.exclude-newer.date"] == "2022-01-01T00:00:00Z"
    assert is_fresh(held)
    assert not is_fresh(plain), "it was locked for another setting"
    assert locked(plain) == {"leaf": "2.0"}


@pytest.mark.parametrize("name", ["young", "undated"])
def test_a_failure_says_that_it_is_the_cooldown(channel: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(LockError) as raised:
        write_lockfile(replace(request_for(tmp_path, channel, name), exclude_newer=BETWEEN))
    said = raised.value.format_message()
    assert "exclude_newer in bundle.toml excludes packages newer than 2022-01-01T00:00:00Z" in said


def test_a_free_threaded_python_is_for_who_asks_for_it(channel: Path, tmp_path: Path) -> None:
    assert locked(request_for(tmp_path, channel, "python >=3.13")) == {"python": "3.13.0"}
    assert locked(request_for(tmp_path, channel, "python * *_cp313t")) == {"python": "3.13.1"}
    with pytest.raises(LockError, match="must be requested explicitly: add"):
        write_lockfile(request_for(tmp_path, channel, "hidden"))


def test_wheels_wait_as_well_and_what_conda_brings_does_not(tmp_path: Path) -> None:
    """The second: uv sees conda's packages as wheels of nobody knows when."""
    channel = make_channel(tmp_path / "channel")
    with serve_index(tmp_path / "wheels") as pypi:
        old = make_wheel(pypi.directory, "app", "1.0", requires=["leaf"])
        new = make_wheel(pypi.directory, "app", "2.0")
        make_wheel(pypi.directory, "undated", "1.0")
        pypi.uploaded = {old.name: "2020-01-01T00:00:00Z", new.name: "2023-01-01T00:00:00Z"}
        project = Project.make(tmp_path / "project", channel, pypi)
        # conda's packages here were indexed just now, so the date is one to come
        request = project.asks_for("app", conda=("python", "leaf")).request(exclude_newer="2099-01-01")
        assert project.lock(request)["app"].version == "2.0"
        for repodata in channel.glob("*/repodata.json"):
            text = repodata.read_text()
            document = json.loads(text)
            for record in document["packages.conda"].values():
                record["indexed_timestamp"] = OLD
            repodata.write_text(json.dumps(document))
            for other in repodata.parent.glob("repodata*.zst"):
                other.unlink()
        request = replace(request, exclude_newer=BETWEEN)
        found = project.lock(request)
        assert {name: wheel.version for name, wheel in found.items()} == {"app": "1.0"}
        assert is_fresh(request)
        project.asks_for("undated")
        with pytest.raises(LockError, match="and wheels without an upload date"):
            write_lockfile(request)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel that comes after the first: its leaf is older than that one's."""
    path = tmp_path_factory.mktemp("second") / "second"
    make_package(path, "leaf", "0.5", timestamp=OLD)
    make_package(path, "young", "0.5", timestamp=OLD)
    make_package(path, "fresh", "2.0", timestamp=NEW)
    make_package(path, "fresh", "1.0", timestamp=OLD)
    index(path)
    for repodata in path.glob("*/repodata.json"):
        document = json.loads(repodata.read_bytes())
        for record in document["packages.conda"].values():
            del record["indexed_timestamp"]
        repodata.write_text(json.dumps(document))
        for other in repodata.parent.glob("*.zst"):
            other.unlink()
    return path


@pytest.mark.parametrize(
    ("said", "leaf", "fresh"),
    [
        ({"default": BETWEEN}, "1.0", "1.0"),
        ({"default": BETWEEN, "first": False}, "2.0", "1.0"),
        ({"default": BETWEEN, "second": False}, "1.0", "2.0"),
        ({"default": False, "first": BETWEEN}, "1.0", "2.0"),
        ({"first": BETWEEN}, "1.0", "2.0"),
        ({"default": "2030-01-01", "second": BETWEEN}, "2.0", "1.0"),
        ({"first": BETWEEN, "second": "2030-01-01"}, "1.0", "2.0"),
    ],
)
def test_each_channel_may_have_its_own_age(
    channel: Path, second: Path, tmp_path: Path, said: dict[str, str | bool], leaf: str, fresh: str
) -> None:
    """Also where a younger package is left out: it is not taken from the next channel then."""
    urls = {"first": channel.as_uri(), "second": second.as_uri()}
    request = replace(
        request_for(tmp_path, channel, "leaf", "fresh"),
        channels=tuple(urls.values()),
        exclude_newer=as_text({urls.get(place, place): one for place, one in said.items()}),
    )
    assert locked(request) == {"leaf": leaf, "fresh": fresh}
    assert is_fresh(request)
    write_lockfile(request, update=("leaf",))
    assert is_fresh(request)
    assert not is_fresh(replace(request, exclude_newer=BETWEEN))


def test_priority_stays_where_a_channel_has_its_own_age(channel: Path, second: Path, tmp_path: Path) -> None:
    said = as_text({"default": False, channel.as_uri(): BETWEEN})
    request = replace(
        request_for(tmp_path, channel, "young"), channels=(channel.as_uri(), second.as_uri()), exclude_newer=said
    )
    with pytest.raises(LockError, match=r"excludes packages newer than 2022-01-01T00:00:00Z \(file:.*main\)"):
        write_lockfile(request)
    with pytest.raises(LockError, match="excludes packages newer than"):
        write_lockfile(replace(request, exclude_newer=as_text({channel.as_uri(): BETWEEN, "default": "2030-01-01"})))


def test_a_name_of_no_channel_is_a_mistake(channel: Path, tmp_path: Path) -> None:
    request = replace(
        request_for(tmp_path, channel, "leaf"), exclude_newer=as_text({"default": "14d", "internl": False})
    )
    with pytest.raises(ConfigError, match="internl is not a channel or package index") as raised:
        write_lockfile(request)
    assert channel.as_uri() in str(raised.value.remedy)


def test_an_index_may_have_its_own_age(tmp_path: Path) -> None:
    channel = make_channel(tmp_path / "channel")
    with serve_index(tmp_path / "first") as own, serve_index(tmp_path / "second") as pypi:
        for where in (own, pypi):
            name = "internal" if where is own else "app"
            old = make_wheel(where.directory, name, "1.0", requires=["leaf"])
            new = make_wheel(where.directory, name, "2.0")
            where.uploaded = {old.name: "2020-01-01T00:00:00Z", new.name: "2023-01-01T00:00:00Z"}
        project = Project.make(tmp_path / "project", channel, pypi)
        project.asks_for("app", "internal", conda=("python", "leaf"))
        project.environment.write_text(
            project.environment.read_text().replace(f"- {pypi.url()}", f"- {own.url()}\n- {pypi.url()}")
        )
        for said, app, internal in (
            ({pypi.url(): BETWEEN}, "1.0", "2.0"),
            ({own.url(): BETWEEN}, "2.0", "1.0"),
            ({pypi.url(): BETWEEN, own.url(): "2020-06-01"}, "1.0", "1.0"),
        ):
            request = project.request(exclude_newer=as_text({"default": False, **said}))
            found = project.lock(request)
            assert {name: wheel.version for name, wheel in found.items()} == {"app": app, "internal": internal}
            assert is_fresh(request)

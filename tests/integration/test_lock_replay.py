"""A lock again without conda-lock: the bytes that conda-lock would write, never the answer to another question."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pipkit import Project, make_channel
from pypikit import make_wheel
from tinychannel import index, make_package

from bundler.config.servers import PlainServers
from bundler.errors import LockError
from bundler.fetch.channels import Access
from bundler.lock import replay, runner
from bundler.lock.condalock import LockRequest, write_lockfile
from bundler.progress import QuietProgress
from bundler.resources import cache_dir
from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pypikit import Index

pytestmark = pytest.mark.network

BOTH = ("linux-64", "linux-aarch64")


class Listener(QuietProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def step(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """One that a test may change."""
    return make_channel(tmp_path / "channel")


@pytest.fixture(autouse=True)
def _app(pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0")


def locked(request: LockRequest, **options: Any) -> tuple[bytes, list[str]]:
    """What is written, and what is told."""
    listener = Listener()
    write_lockfile(request, listener, **options)
    return request.lockfile.read_bytes(), listener.told


def by_conda_lock(request: LockRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[bytes, list[str]]:
    """The same where nothing was ever locked, so that conda-lock is run."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "empty"))
        return locked(request)


def plain(project: Project) -> None:
    project.asks_for("app", conda=("python", "leaf"))


def without_wheels(project: Project) -> None:
    project.environment.write_text(f"channels: ['{project.channel}']\ndependencies: [python, leaf >=1, __glibc]\n")


def beyond_conda_lock(project: Project) -> None:
    """What conda-lock is not shown, or not all of."""
    project.environment.write_text(
        f"channels: ['{project.channel}']\ndependencies:\n- python\n- sel(linux): leaf\n- tzdata  # [win]\n"
        f"- 'python-tzdata[when=\"__cuda\"]'\n- pip[version='>=1', build_number='>=0']\n"
        f"- pip:\n  - app\npip-repositories: ['{project.pypi.url()}']\nallow-pypi-requests: false\n"
    )


def in_categories(project: Project) -> None:
    plain(project)
    (project.path / "more.yml").write_text(
        f"channels: ['{project.channel}']\ncategory: dev\ndependencies: [python-tzdata]\n"
    )


@pytest.mark.parametrize("write", [plain, without_wheels, beyond_conda_lock, in_categories])
def test_the_bytes_are_those_of_conda_lock(
    project: Project, started: list[str], write: Callable[[Project], None]
) -> None:
    write(project)
    request = project.request(BOTH)
    more = project.path / "more.yml"
    request = replace(request, environments=(*request.environments, *([more] if more.exists() else [])))
    first = locked(request)
    assert started == ["lock"]
    assert locked(request) == first
    request.lockfile.unlink()
    assert locked(request) == first
    assert started == ["lock"], "conda-lock had no part in it"


def test_what_conda_lock_warned_of_is_told_again(
    project: Project, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(project)
    monkeypatch.setattr(runner, "conda_lock_warnings", lambda _: ("leaf is old",))
    first = locked(project.request())
    assert "note: conda-lock warns: leaf is old" in first[1]
    assert locked(project.request()) == first
    assert started == ["lock"]


def test_bundles_get_what_they_bring_all_the_same(
    project: Project, channel: Path, started: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What our solver finds beside the environment, as it does for conda-lock."""
    make_package(channel, "zstd", "1.5.7", depends=["libzstd"])
    make_package(channel, "libzstd", "1.5.7")
    index(channel)
    plain(project)
    first = locked(project.request())
    assert b"libzstd" in first[0]
    assert locked(project.request()) == first
    assert started == ["lock"]


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.1"},
        {"version": "1.0", "depends": ["python", "python-tzdata"]},
    ],
    ids=["version", "the same file"],
)
def test_a_channel_that_has_changed_is_locked_by_conda_lock(
    project: Project,
    channel: Path,
    started: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    change: dict[str, Any],
) -> None:
    plain(project)
    first = locked(project.request(BOTH))
    for repodata in channel.glob("*/repodata*"):
        repodata.unlink()  # or a file that is in it is not read again
    make_package(channel, "leaf", python=True, **{"depends": ["python"], **change})
    index(channel)
    again = locked(project.request(BOTH))
    assert started == ["lock", "lock"]
    assert again != first
    assert again == by_conda_lock(project.request(BOTH), monkeypatch, tmp_path)
    assert locked(project.request(BOTH)) == again
    assert len(started) == 3, "this is known then"


def test_a_channel_without_what_was_locked(project: Project, channel: Path, started: list[str], tmp_path: Path) -> None:
    """The sentence is the one that conda-lock's run ends with."""
    plain(project)
    locked(project.request())
    for archive in channel.glob("noarch/leaf-*"):
        archive.unlink()
    index(channel)
    said = project.fails(LockError)
    assert started == ["lock"], "our solver's word is enough"
    for record in cache_dir("conda-part").iterdir():
        record.unlink()
    assert project.fails(LockError) == said
    assert started == ["lock", "lock"]


def changed_spec(project: Project, request: LockRequest) -> LockRequest:
    project.asks_for("app", conda=("python", "leaf ==1.0"))
    return request


def changed_category(project: Project, request: LockRequest) -> LockRequest:
    project.asks_for("app", conda=("python", "leaf"), category="dev")
    return request


def virtual_file(project: Project, request: LockRequest) -> LockRequest:
    packages = {"__unix": "0", "__linux": "5.10", "__glibc": "2.31", "__archspec": "1 x86_64"}
    text = yaml.safe_dump({"subdirs": {"linux-64": {"packages": packages}}})
    (project.path / "virtual-packages.yml").write_text(text)
    return request


def test_another_question_is_conda_locks(project: Project, started: list[str]) -> None:
    plain(project)
    request = project.request()
    changes: dict[str, Callable[[], LockRequest]] = {
        "platforms": lambda: replace(request, platforms=BOTH),
        "channels": lambda: replace(request, channels=(f"{project.channel}/",)),
        "servers": lambda: replace(request, tables=(("linux-64", PlainServers(glibc="2.34")),)),
        "lockfile": lambda: replace(request, lockfile=project.path / "other-lock.yml"),
        "spec": lambda: changed_spec(project, request),
        "category": lambda: changed_category(project, request),
        "virtual file": lambda: virtual_file(project, request),
    }
    locked(request)
    for number, (name, change) in enumerate(changes.items(), 2):
        other = change()
        again = locked(other)
        assert len(started) == number, name
        assert locked(other) == again
        assert len(started) == number, "this is known then"


def test_another_conda_lock_is_asked_and_so_is_another_conda_bundler(
    project: Project, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(project)
    first = locked(project.request())
    with monkeypatch.context() as upgraded:
        upgraded.setattr(replay, "_distributions", lambda: ["conda_lock-4.0.9.dist-info"])
        assert locked(project.request()) == first
    with monkeypatch.context() as upgraded:
        upgraded.setattr(replay, "__version__", "99")
        assert locked(project.request()) == first
    assert started == ["lock"] * 3


def test_what_decides_for_the_solver_alone_is_its_matter(project: Project, channel: Path, started: list[str]) -> None:
    """Channels' priority, dates of packages: its answer is another one, or the same."""
    make_package(channel, "leaf", "2.0", depends=["python"], python=True, timestamp=1_900_000_000_000)
    index(channel)
    plain(project)
    newest = locked(project.request())[0]
    assert b"leaf-2.0" in newest
    assert locked(project.request(access=Access(retries=0, priority="flexible")))[0] == newest
    assert started == ["lock"]
    said = project.fails(LockError, project.request(exclude_newer="2025-01-01"))
    assert "is excluded because the package is uploaded after the cutoff date" in said


def test_an_update_is_conda_locks(project: Project, started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves other platforms as they are, which are in the lockfile that it starts from."""
    plain(project)
    locked(project.request())
    monkeypatch.setattr(replay.Replay, "of", lambda *_: pytest.fail("nothing was recorded of an update"))
    locked(project.request(), update=("leaf",))
    assert started == ["lock", "lock"]


def test_wheels_are_solved_each_time(project: Project, pypi: Index, started: list[str]) -> None:
    plain(project)
    assert project.lock()["app"].version == "1.0"
    make_wheel(pypi.directory, "app", "2.0")
    make_wheel(pypi.directory, "more", "1.0")
    assert project.lock()["app"].version == "2.0"
    assert project.asks_for("app", "more", conda=("python", "leaf")).lock().keys() == {"app", "more"}
    assert started == ["lock"]


def test_a_record_that_is_damaged_does_not_count(project: Project, started: list[str]) -> None:
    plain(project)
    first = locked(project.request())
    (record,) = cache_dir("conda-part").iterdir()
    sealed, content = record.read_bytes(), read_sealed(record)
    assert content
    other = json.dumps({**json.loads(content), "key": "0" * 64}).encode()
    write_sealed(record, other)
    damaged = [sealed[: len(sealed) // 2], b"", sealed.replace(b"leaf-1.0", b"leaf-1.1", 1), record.read_bytes()]
    for number, one in enumerate(damaged, 2):
        assert one != sealed
        record.write_bytes(one)
        assert locked(project.request()) == first
        assert len(started) == number
        assert record.read_bytes() == sealed, "it is written anew"


def test_a_solver_that_dies_leaves_it_to_conda_lock(
    project: Project, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(project)
    first = locked(project.request(BOTH))
    ask = replay.Replay._ask

    def dying(self: replay.Replay, solver: Path, platform: str, *rest: Any) -> bool:
        return platform == BOTH[0] and ask(self, solver, platform, *rest)

    monkeypatch.setattr(replay.Replay, "_ask", dying)
    assert locked(project.request(BOTH)) == first
    assert started == ["lock", "lock"]

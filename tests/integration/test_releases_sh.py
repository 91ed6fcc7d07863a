"""What manage says of the releases on disk, under shells and tools: what each is, what it takes alone and shares."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from shellkit import BUSYBOX, GNU, SHELLS_WITH_TOOLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path

_TOOLS = ("cat", "date", "du", "find", "grep", "readlink", "sed", "sh")
OLD, BAD, NEW = "1.0-aaaaaaaaaaaa", "1.1-rc.1-bbbbbbbbbbbb", "2.0-cccccccccccc"
BIG, SMALL = (3 << 20) - (64 << 10), (1 << 20) - (64 << 10)  # so that directories make no MiB more
SINCE = 1_700_000_000


@dataclass(frozen=True)
class Root:
    """A root with three releases, and the shell and tools that look at it."""

    room: Path
    shell: str

    def releases(self, *, json: bool = False) -> subprocess.CompletedProcess[str]:
        head = f"ROOT='{self.room}'\nRECORD='{self.room}/record'\nJSON={'yes' * json}\n"
        (self.room / "script").write_text(with_functions(f"{head}releases\n", of="manage"))
        words = [*self.shell.split(), str(self.room / "script")]
        env = {"PATH": str(self.room / "bin"), "LC_ALL": "C"}
        return subprocess.run(words, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(params=[pytest.param(one.values, id=one.id) for one in SHELLS_WITH_TOOLS])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Root:
    shell, tools = request.param
    (tmp_path / "bin").mkdir()
    for name in (*_TOOLS, shell.split(maxsplit=1)[0]):
        found = shutil.which("busybox" if tools == BUSYBOX and name in _TOOLS else name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    for release in (OLD, BAD, NEW):
        directory = tmp_path / "releases" / release
        (directory / "env").mkdir(parents=True)
        (directory / "env/big").write_bytes(os.urandom(BIG))
        (directory / "env/small").write_bytes(os.urandom(SMALL))
        (directory / ".complete").touch()
        os.utime(directory / ".complete", (SINCE, SINCE))
    share(tmp_path, OLD, NEW)
    (tmp_path / "current").symlink_to(f"releases/{NEW}")
    lines = ((OLD, "installed"), (BAD, "failed"), (NEW, "upgraded"))
    (tmp_path / "history").write_text("".join(f"2026-01-01T00:00:00Z {release} {what}\n" for release, what in lines))
    return Root(tmp_path, shell)


def share(room: Path, one: str, other: str) -> None:
    """Both have one file, and one link, in common."""
    first, second = room / "releases" / one / "env", room / "releases" / other / "env"
    (first / "link").symlink_to("big")
    (second / "link").hardlink_to(first / "link")
    (second / "big").unlink()
    (second / "big").hardlink_to(first / "big")


def mib(kib: int) -> int:
    return -(-kib // 1024)


def test_what_each_release_takes(root: Root) -> None:
    done = root.releases(json=True)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    sizes = {one["release"]: (mib(one["own_kib"]), mib(one["shared_kib"])) for one in told["releases"]}
    assert sizes == {NEW: (1, 3), OLD: (1, 3), BAD: (4, 0)}
    assert mib(told["total_kib"]) == 9  # not 12: three of them are one file
    assert told["root"] == str(root.room)


def test_what_each_release_is(root: Root) -> None:
    told = json.loads(root.releases(json=True).stdout)["releases"]
    keys = ("release", "version", "build_id", "state", "bad", "installed")
    since = "2023-11-14T22:13:20Z"
    assert [tuple(one[key] for key in keys) for one in told] == [
        (NEW, "2.0", "cccccccccccc", "current", False, since),
        (OLD, "1.0", "aaaaaaaaaaaa", "previous", False, since),
        (BAD, "1.1-rc.1", "bbbbbbbbbbbb", "kept", True, since),
    ]


def test_people_are_told_the_same(root: Root) -> None:
    (root.room / "history").write_text(f"2026-01-01T00:00:00Z {OLD} failed\n")
    lines = [line.split("\t") for line in root.releases().stdout.splitlines()]
    assert lines == [
        [NEW, "1 MiB, shared 3 MiB", "2023-11-14T22:13:20Z", "current"],
        [BAD, "4 MiB, shared 0 MiB", "2023-11-14T22:13:20Z", ""],
        [OLD, "1 MiB, shared 3 MiB", "2023-11-14T22:13:20Z", "bad"],
        ["total", "9 MiB"],
    ]


@pytest.mark.parametrize("root", [("dash", GNU), ("bash", GNU)], ids=str, indirect=True)
def test_a_release_that_cannot_be_read_is_named(root: Root) -> None:
    (root.room / "bin/du").unlink()
    (root.room / "bin/du").write_text("#!/bin/sh\nexit 1\n")
    (root.room / "bin/du").chmod(0o755)
    done = root.releases()
    assert (done.returncode, done.stderr) == (12, f"test: error: cannot read {root.room}/releases/{NEW}\n")

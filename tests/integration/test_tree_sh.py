"""The list of a release's files: what a fresh one need not read is right all the same, under shells and tools."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bundler.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path

GNU, BUSYBOX = "gnu", "busybox"
TARGETS = (
    pytest.param("dash", GNU, id="dash"),
    pytest.param("bash", GNU, id="bash"),
    pytest.param("dash", BUSYBOX, id="dash-busybox-tools"),
    pytest.param("busybox sh", BUSYBOX, id="busybox-alone"),
)
_TOOLS = ("cat", "find", "ls", "sed", "sha256sum", "sort", "uniq", "sh")
_PARTIALS = ("say", "files", "tree")
BUILT = 315532800  # the payload's one mtime
FILES = {
    "env/bin/tool": b"#!/opt/x/bin/sh\n",
    "env/lib/a name with spaces": b"a",
    "env/lib/caf\u00e9 'q' \"d\" $x": b"b",
    "app/empty": b"",
}


@dataclass(frozen=True)
class Release:
    """A directory like a freshly unpacked release, and the shell and tools that look at it."""

    room: Path
    shell: str

    @property
    def path(self) -> Path:
        return self.room / "release"

    def write(self, name: str, content: bytes, *, mtime: int | None = None) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if mtime is not None:
            os.utime(path, (mtime, mtime))

    def ask(self, function: str) -> list[str]:
        done = self.run(function)
        assert (done.returncode, done.stderr) == (0, b"")
        return (self.room / "list").read_bytes().decode("utf-8", "surrogateescape").splitlines()

    def run(self, function: str) -> subprocess.CompletedProcess[bytes]:
        parts = "".join((templates_dir() / "install" / f"{part}.sh").read_text() for part in _PARTIALS)
        head = f"set -eu\nPROGRAM=install.sh\nWORK='{self.room}'\n"
        (self.room / "script").write_text(f"{head}{parts}\nlist_tree '{self.path}' {function}\n")
        words = [*self.shell.split(), str(self.room / "script")]
        env = {"PATH": str(self.room / "bin"), "LC_ALL": "C"}
        return subprocess.run(words, capture_output=True, check=False, env=env)


def make_release(room: Path, shell: str, tools: str) -> Release:
    (room / "bin").mkdir()
    for name in (*_TOOLS, shell.split(maxsplit=1)[0]):
        found = shutil.which("busybox" if tools == BUSYBOX and name in _TOOLS else name)
        assert found is not None
        (room / "bin" / name).symlink_to(found)
    release = Release(room, shell)
    for name, content in FILES.items():
        release.write(name, content, mtime=BUILT)
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  ./{name}\n" for name, content in sorted(FILES.items()))
    release.write("share/digests", lines.encode(), mtime=BUILT)
    (release.path / "env" / "bin" / "link").symlink_to("tool")
    return release


@pytest.mark.parametrize(("shell", "tools"), TARGETS)
def test_the_list_of_a_fresh_release_is_what_reading_it_all_gives(tmp_path: Path, shell: str, tools: str) -> None:
    release = make_release(tmp_path, shell, tools)
    assert release.ask("fresh_tree_lines") == release.ask("tree_lines")
    release.write("env/bin/tool", b"#!/srv/elsewhere/bin/sh\n")  # relocated
    release.write("env/lib/__pycache__/made.pyc", b"compiled here")
    release.write("units/hello.service", b"[Unit]\n")
    listed = release.ask("tree_lines")
    assert release.ask("fresh_tree_lines") == listed
    assert len([line for line in listed if "env/bin/tool" in line and not line.startswith("l")]) == 2


@pytest.mark.parametrize(("shell", "tools"), TARGETS)
def test_what_was_unpacked_is_not_read_again(tmp_path: Path, shell: str, tools: str) -> None:
    release = make_release(tmp_path, shell, tools)
    release.write("env/lib/a name with spaces", b"other bytes", mtime=BUILT)
    digest = hashlib.sha256(b"a").hexdigest()
    assert f"{digest}  ./env/lib/a name with spaces" in release.ask("fresh_tree_lines")
    assert f"{digest}  ./env/lib/a name with spaces" not in release.ask("tree_lines")


def test_the_list_is_the_same_whoever_made_it(tmp_path: Path) -> None:
    lists = []
    for number, (shell, tools) in enumerate((("dash", GNU), ("busybox sh", BUSYBOX))):
        (tmp_path / str(number)).mkdir()
        release = make_release(tmp_path / str(number), shell, tools)
        (release.path / "env" / "lib").chmod(0o700)
        # busybox ls has a question mark for what is not ASCII; on one machine it is always the same one that looks.
        lists.append([line for line in release.ask("tree_lines") if "caf" not in line])
    assert lists[0] == lists[1]
    assert "lrwxrwxrwx 0 0 ./env/bin/link -> tool" in lists[0]
    assert "drwx------ 0 0 ./env/lib" in lists[0]


@pytest.mark.parametrize("reason", ["the clock is behind", "no list", "an empty list"])
def test_else_everything_is_read(tmp_path: Path, reason: str) -> None:
    release = make_release(tmp_path, "dash", GNU)
    if reason == "the clock is behind":
        for path in release.path.rglob("*"):
            os.utime(path, (4e9, 4e9), follow_symlinks=False)
    elif reason == "no list":
        (release.path / "share" / "digests").unlink()
    else:
        release.write("share/digests", b"", mtime=BUILT)
    release.write("env/bin/tool", b"changed")
    assert release.ask("fresh_tree_lines") == release.ask("tree_lines")


@pytest.mark.parametrize(("shell", "tools"), TARGETS[:3])  # busybox sh runs its own
@pytest.mark.parametrize(
    ("function", "tool"),
    [
        *(("tree_lines", tool) for tool in ("find", "sort")),
        *(("fresh_tree_lines", tool) for tool in ("find", "sha256sum", "sort", "cat", "uniq")),
    ],
)
def test_a_tool_that_fails_half_way_makes_no_shorter_list(
    tmp_path: Path, shell: str, tools: str, function: str, tool: str
) -> None:
    release = make_release(tmp_path, shell, tools)
    (tmp_path / "real").mkdir()
    (tmp_path / "bin" / tool).rename(tmp_path / "real" / tool)
    half = f'#!/bin/sh\n{tmp_path}/real/{tool} "$@" >{tmp_path}/whole\nsed \\$d {tmp_path}/whole\nexit 1\n'
    (tmp_path / "bin" / tool).write_text(half)
    (tmp_path / "bin" / tool).chmod(0o755)
    done = release.run(function)
    assert (done.returncode, b"install.sh: error: cannot" in done.stderr) == (12, True)

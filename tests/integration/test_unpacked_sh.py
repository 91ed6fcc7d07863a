"""What tar has unpacked is compared with what was built, under several shells, tars and tools."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from shellkit import BUSYBOX, SHELLS_WITH_TOOLS, with_functions
from smallbundle import build, make_channel, make_project

from bundler.pack.listing import unpacked_sha256
from bundler.pack.members import DIGESTS, LINK_MODE, TreeEntry, digest_list
from bundler.tar.write import DIRECTORY, END, LINK, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TOOLS = ("cat", "find", "ls", "readlink", "sed", "sha256sum", "sh", "sort", "stat", "tar", "tr", "uniq")
DIRECTORIES = ("app", "env", "env/bin", "env/empty", "env/new\nline", "share")
FILES = {
    "app/empty": b"",
    "app/1234": b"x",
    "env/bin/tool": b"#!/bin/sh\n",
    "env/bin/" + "long" * 40: b"l" * 700,
    "env/caf\u00e9 'q' \"d\" $x": b"q",
    "env/new\nline/back\\slash": b"b",
    "env/a -> b": b"arrow",
    "env/\udcff": b"not UTF-8",
}
LINKS = {
    "env/bin/link": "tool",
    "env/bin/odd -> odd": "../a -> b",
    "env/lines": "new\nline/back\\slash",
    "env/accent": "caf\u00e9 'q' \"d\" $x",
    "env/dangling": "no\\thing\n",
}


def entries() -> tuple[TreeEntry, ...]:
    files = [
        TreeEntry(path=path, mode=mode_of(path), digest=hashlib.sha256(content).hexdigest(), size=len(content))
        for path, content in FILES.items()
    ]
    listed = digest_list(files)
    files.append(TreeEntry(path=DIGESTS, mode=0o644, digest=hashlib.sha256(listed).hexdigest(), size=len(listed)))
    return (*files, *(TreeEntry(path=path, mode=LINK_MODE, digest=to, size=0) for path, to in LINKS.items()))


def mode_of(path: str) -> int:
    return 0o755 if path.startswith("env/bin/") else 0o644


def payload() -> bytes:
    listed = digest_list(entry for entry in entries() if entry.path != DIGESTS)
    pieces = [tar_header(path, 0o755, kind=DIRECTORY) for path in DIRECTORIES]
    for path, content in {**FILES, DIGESTS: listed}.items():
        pieces += [tar_header(path, mode_of(path), size=len(content)), content, tar_padding(len(content))]
    pieces += [tar_header(path, LINK_MODE, kind=LINK, link=to) for path, to in LINKS.items()]
    return b"".join([*pieces, END])


@dataclass(frozen=True)
class Target:
    """A stage with what a tar has unpacked, and the shell and tools that look at it."""

    room: Path
    shell: str

    @property
    def stage(self) -> Path:
        return self.room / "stage"

    def check(self, expected: str) -> subprocess.CompletedProcess[str]:
        (self.room / "work").mkdir(exist_ok=True)
        values = {
            "PROGRAM": "install.sh",
            "NAME": "small",
            "PAYLOAD": "payload.tar.zst",
            "UNPACKED_SHA256": expected,
            "WORK": f"{self.room}/work",
            "STAGE": f"{self.stage}",
        }
        head = "".join(f"{name}='{value}'\n" for name, value in values.items())
        (self.room / "script").write_text(with_functions(f"{head}check_unpacked\n"))
        words = [*self.shell.split(), str(self.room / "script")]
        env = {"PATH": str(self.room / "bin"), "LC_ALL": "C"}
        return subprocess.run(words, capture_output=True, text=True, check=False, env=env)


def make_target(room: Path, shell: str, tools: str, tar: bytes = b"") -> Target:
    for name in ("bin", "stage"):
        (room / name).mkdir()
    for name in (*_TOOLS, shell.split(maxsplit=1)[0]):
        found = shutil.which("busybox" if tools == BUSYBOX and name in _TOOLS else name)
        assert found is not None
        (room / "bin" / name).symlink_to(found)
    words = [str(room / "bin" / "tar"), "-xpof", "-", "-C", str(room / "stage")]
    subprocess.run(words, input=tar or payload(), check=True, env={"LC_ALL": "C"}, umask=0o022)
    return Target(room, shell)


EXPECTED = unpacked_sha256(entries(), DIRECTORIES)


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_what_tar_makes_of_what_was_built_is_what_was_built(tmp_path: Path, shell: str, tools: str) -> None:
    done = make_target(tmp_path, shell, tools).check(EXPECTED)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS[1:3])
def test_what_build_says_is_what_tar_makes_of_its_payload(tmp_path: Path, shell: str, tools: str) -> None:
    bundle = build(make_project(tmp_path / "project"), make_channel(tmp_path / "channel"), "dir")
    said = re.search(r"^UNPACKED_SHA256='?([0-9a-f]{64})", (bundle / "install.sh").read_text(), re.MULTILINE)
    assert said is not None
    target = make_target(tmp_path, shell, tools, gzip.decompress((bundle / "payload.tar.gz").read_bytes()))
    done = target.check(said[1])
    assert (done.returncode, done.stderr) == (0, "")


def cut_a_name(stage: Path) -> None:
    """As a tar does that knows nothing of POSIX.1-2001's headers."""
    (path,) = (stage / "env/bin").glob("long*")
    path.rename(path.with_name(path.name[:92]))


def swap_link(stage: Path) -> None:
    (stage / "env/bin/link").unlink()
    (stage / "env/bin/link").symlink_to("tools")


def unlist(stage: Path) -> None:
    listed = (stage / DIGESTS).read_bytes()
    (stage / DIGESTS).write_bytes(listed.replace(listed[:1], b"g"))


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file more": (lambda stage: (stage / "app/more").write_bytes(b""), ": ./app/more"),
    "a file less": (lambda stage: (stage / "app/empty").unlink(), ": ./app/empty"),
    "another name": (cut_a_name, ": ./env/bin/long"),
    "a directory more": (lambda stage: (stage / "app/d").mkdir(), ""),
    "a directory less": (lambda stage: (stage / "env/empty").rmdir(), ""),
    "a directory's mode": (lambda stage: (stage / "env/empty").chmod(0o700), ""),
    "a mode": (lambda stage: (stage / "app/empty").chmod(0o755), ""),
    "a size": (lambda stage: (stage / "app/empty").write_bytes(b"x"), ""),
    "a link more": (lambda stage: (stage / "app/link").symlink_to("empty"), ""),
    "a link's target": (swap_link, ""),
    "the list of digests": (unlist, ""),
    "no list of digests": (lambda stage: (stage / DIGESTS).unlink(), ""),
}


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS[1:3])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_else_is_there_is_refused(tmp_path: Path, shell: str, tools: str, change: str) -> None:
    target = make_target(tmp_path, shell, tools)
    make, says = CHANGES[change]
    make(target.stage)
    done = target.check(EXPECTED)
    assert done.returncode == 11, done.stderr
    assert f"the files unpacked from payload.tar.zst are not those that were built{says}" in done.stderr

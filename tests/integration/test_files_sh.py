"""What install.sh writes is whole or not there: whichever tool fails half-way, the file of before stays as it was."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from shellkit import Script, with_functions

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = ("dash", "bash")  # busybox sh runs its own tools
_TOOLS = ("cat", "chmod", "date", "grep", "mv", "rm", "sed", "sync", "tr")
_ELSEWHERE = "each_service() { :; }\nmake_dir() { :; }\n"
OLD = "first\nsecond\nthird\n"


@dataclass(frozen=True)
class Write:
    """A step that writes ``file`` anew, where it reads ``source``, and what is in it then."""

    steps: str
    file: str
    source: str
    expected: str
    of: Script = "install"


WRITES = {
    "history": Write("add_history installed 1.0", "history", "history", OLD + "NOW 1.0 installed\n"),
    "owned": Write("claim 'unit x'", "owned", "owned", OLD + "unit x\n"),
    "transaction": Write(
        "ACTION_BEGUN=install; write_transaction begun",
        "transaction",
        "states",
        "action=install\nfrom=\nto=1.0\nphase=begun\n" + OLD,
    ),
    "secrets": Write("TOKEN=new; write_variable KEY", "secrets.env", "secrets.env", OLD + "KEY=new\n"),
    "secret before": Write("keep_old_secret KEY", "credential.before", "credentials/KEY", "KEY\n" + OLD, "manage"),
    "settings": Write("install_config", "hello.env", "releases/1.0/config/hello.env", "#first\n#second\n#third\n"),
}
READ_WITH = [
    *(("history", "cat"), ("history", "date"), ("owned", "cat"), ("transaction", "cat"), ("secrets", "sed")),
    *(("secret before", "cat"), ("settings", "cat"), ("settings", "sed")),
]


def run(room: Path, shell: str, write: Write) -> subprocess.CompletedProcess[str]:
    """In a directory that is all of the target's at once."""
    for name in ("bin", "credentials", "releases/1.0/config", "work"):
        (room / name).mkdir(parents=True, exist_ok=True)
    for name in _TOOLS:
        if not (room / "bin" / name).exists():
            (room / "bin" / name).symlink_to(shutil.which(name) or "/missing")
    (room / write.source).write_text(OLD)
    values = f"NAME=hello PROGRAM=install.sh RELEASE=1.0 IMAGE= SETTINGS= SECRETS={room}/secrets.env\n"
    places = "".join(f"{name}='{room}'\n" for name in ("ROOT", "RECORD", "ETC", "WORK"))
    (room / "script").write_text(with_functions(f"{values}{places}{_ELSEWHERE}{write.steps}\n", of=write.of))
    return subprocess.run(
        [shutil.which(shell) or shell, str(room / "script")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(room / "bin")},
    )


def content(path: Path) -> str:
    """Without comments, and with one time."""
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.strip() and not line.startswith("# ")]
    return "".join(f"NOW {line[21:]}" if line.startswith("20") else line for line in lines)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", WRITES)
def test_what_was_there_is_kept(tmp_path: Path, shell: str, name: str) -> None:
    done = run(tmp_path, shell, WRITES[name])
    assert (done.returncode, done.stderr) == (0, "")
    assert content(tmp_path / WRITES[name].file) == WRITES[name].expected


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("name", "tool"), READ_WITH)
def test_what_cannot_be_read_to_its_end_is_not_written(tmp_path: Path, shell: str, name: str, tool: str) -> None:
    write = WRITES[name]
    (tmp_path / "bin").mkdir()
    real = shutil.which(tool)
    not_this = "" if name == "settings" else f"[ $# -gt 0 ] || exec {real}\n"  # which puts what was read
    (tmp_path / "bin" / tool).write_text(f'#!/bin/sh\n{not_this}{real} "$@" | /bin/sed 2q\nexit 1\n')
    (tmp_path / "bin" / tool).chmod(0o755)
    done = run(tmp_path, shell, write)
    assert (done.returncode, f"cannot write {tmp_path}/{write.file}" in done.stderr) == (12, True), done.stderr
    assert (tmp_path / write.source).read_text() == OLD
    assert write.file == write.source or not (tmp_path / write.file).exists()
    assert not list(tmp_path.glob(".*.new"))

"""A bundle in one file, without a machine: what it is made of, what it unpacks, what a damaged one does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from installkit import Member, Spec, write_bundle, write_run
from shellkit import SHELL_IDS, SHELLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = Spec(members=(Member(name="app/big", content=os.urandom(2_000_000)),))
TOP = "hello-1.0-linux-64"


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(BIG, tmp_path_factory.mktemp("run") / "room")


def ask(shell: tuple[str, ...], file: Path, *words: str, room: Path) -> subprocess.CompletedProcess[str]:
    """Run it with its temporary directory in ``room``."""
    room.mkdir(exist_ok=True)
    words = (*shell, str(file), *words)
    return subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(room)})


def digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def tar_begins_at(file: Path) -> int:
    return file.read_bytes().index(f"{TOP}/\0".encode())


def test_shellcheck_has_nothing_to_say(run_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_bytes(run_file.read_bytes()[: tar_begins_at(run_file)].rstrip(b"\n") + b"\n")
    words = ["shellcheck", "--shell=sh", "--severity=style", str(script)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_can_be_run_and_has_its_digest_beside_it(run_file: Path) -> None:
    assert run_file.name == f"{TOP}.run"
    assert run_file.stat().st_mode & 0o777 == 0o755
    words = ["sha256sum", "--strict", "-c", f"{run_file.name}.sha256"]
    subprocess.run(words, cwd=run_file.parent, check=True, capture_output=True)


def test_behind_the_script_is_a_tar(run_file: Path) -> None:
    with run_file.open("rb") as file:
        file.seek(tar_begins_at(run_file))
        with tarfile.open(fileobj=file, mode="r:") as tar:
            names = tar.getnames()
    assert (names[0], names[-1]) == (TOP, f"{TOP}/payload.tar.gz")


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_extract_gives_the_bundle(shell: tuple[str, ...], run_file: Path, tmp_path: Path) -> None:
    done = ask(shell, run_file, "--extract", str(tmp_path / "with space"), room=tmp_path / "tmp")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/with space/{TOP}\n"), done.stderr
    assert digests(tmp_path / "with space" / TOP) == digests(write_bundle(BIG, tmp_path / "bundle"))
    again = ask(shell, run_file, f"--extract={tmp_path}/with space", room=tmp_path / "tmp")
    assert (again.returncode, "already exists" in again.stderr) == (2, True)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_it_takes_the_options_of_install_sh_and_leaves_nothing(
    shell: tuple[str, ...], run_file: Path, tmp_path: Path
) -> None:
    done = ask(shell, run_file, "--help", room=tmp_path / "tmp")
    assert done.returncode == 0, done.stderr
    assert f"Usage: sh {run_file}" in done.stdout
    assert "--extract DIR" in done.stdout
    assert ask(shell, run_file, "--nonsense", room=tmp_path / "tmp").returncode == 2
    misused = ask(shell, write_bundle(BIG, tmp_path / "bundle") / "install.sh", "--run", room=tmp_path / "tmp")
    assert (misused.returncode, "unknown argument: --run" in misused.stderr) == (2, True)
    assert list((tmp_path / "tmp").iterdir()) == []


def cut_in_the_script(content: bytes) -> bytes:
    return content[:2000]


def cut_in_the_head(content: bytes) -> bytes:
    return content[: content.index(b"SELF_SHA256=")]


def cut_in_the_payload(content: bytes) -> bytes:
    return content[:-1_000_000]


def last_byte_missing(content: bytes) -> bytes:
    return content[:-1]


def changed_in_the_head(content: bytes) -> bytes:
    return content.replace(b"take_lock() {", b"take_LOCK() {")


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.parametrize(
    "damage", [cut_in_the_script, cut_in_the_head, cut_in_the_payload, last_byte_missing, changed_in_the_head]
)
def test_a_damaged_file_does_nothing(
    shell: tuple[str, ...], damage: Callable[[bytes], bytes], run_file: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.run"
    content = run_file.read_bytes()
    bad.write_bytes(damage(content))
    assert bad.read_bytes() != content
    for words in (("--help",), (), ("--extract", str(tmp_path / "goal"))):
        done = ask(shell, bad, *words, room=tmp_path / "tmp")
        assert done.returncode in ((11,) if damage is not cut_in_the_script else (1, 2)), done.stderr
        assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.run", "tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_a_changed_payload_is_not_left_unpacked(shell: tuple[str, ...], run_file: Path, tmp_path: Path) -> None:
    content = bytearray(run_file.read_bytes())
    content[-1_000_000] ^= 1
    bad = tmp_path / "bad.run"
    bad.write_bytes(content)
    done = ask(shell, bad, "--extract", str(tmp_path / "goal"), room=tmp_path / "tmp")
    assert (done.returncode, list((tmp_path / "goal").iterdir())) == (11, [])


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_a_directory_that_somebody_has_made_before_stops_nothing(
    shell: tuple[str, ...], run_file: Path, tmp_path: Path
) -> None:
    """In /tmp anybody can make one; the process id can be guessed."""
    script = f'mkdir "{tmp_path}/{TOP}.$$"; exec "$@"'
    words = ["sh", "-c", script, "sh", *shell, str(run_file), "--version"]
    env = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout.startswith("hello 1.0 ")) == (0, True), done.stderr
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("--version",), b"install() {\n"),
        (("--version",), b'    if ! (cd -- "$WORK" && '),
        (("--extract", "goal"), b"extract() { # DIR\n"),
        (("--extract", "goal"), b'    if ! (cd -- "$1" && '),
    ],
    ids=["installed early", "installed late", "extracted early", "extracted late"],
)
def test_what_was_checked_is_what_is_used(
    shell: tuple[str, ...], words: tuple[str, ...], before: bytes, run_file: Path, tmp_path: Path
) -> None:
    """Where the file lies somebody else may write: he swaps it when it has been checked."""
    content, begin = run_file.read_bytes(), tar_begins_at(run_file)
    comment = b"# Installs this bundle on a machine with systemd. It needs no network, no conda and no Python.\n"
    evil = content.replace(comment, b"echo EVIL #".ljust(len(comment) - 1) + b"\n")
    assert evil != content
    (tmp_path / "evil").write_bytes(evil)
    head, tail = content[:begin].rstrip(b"\n").split(before)
    swap = f'cat "{tmp_path}/evil" >"$SELF"\n'.encode()
    new = head + (before + swap + tail if before.endswith(b"{\n") or b"# DIR" in before else swap + before + tail)
    file = tmp_path / "swapped.run"
    file.write_bytes((new + b"\n").ljust(begin, b"\n") + content[begin:])
    done = subprocess.run(
        [*shell, file, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert file.read_bytes() == evil
    assert "EVIL" not in done.stdout
    assert done.returncode in (0, 11), done.stderr
    installers = list(tmp_path.glob("goal/*/install.sh"))
    assert not [path for path in installers if b"EVIL" in path.read_bytes()]
    if done.returncode == 0:
        assert TOP in done.stdout or done.stdout.startswith("hello 1.0 ")

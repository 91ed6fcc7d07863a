"""Something endless is put in the place of one of the bundle's files after install.sh has looked at it."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 4096
START = hashlib.sha256(b"\0" * LIMIT).hexdigest()
IS_COPIED = {
    "manage": ("verify_manage", 4194304),
    "config/hello.env": ("stage_file", LIMIT),
    "tools/zstd.gz": ("DECOMPRESSOR_DIR=tools decompressor_dir=$WORK; bring_decompressor_file", LIMIT),
}
"""What copies a file of the bundle, and how much of it."""


def run(shell: tuple[str, ...], room: Path, script: str) -> subprocess.CompletedProcess[str]:
    # Without a limit, a copy is what ulimit stops: in 512-byte blocks, or in KiB with bash.
    values = f"ulimit -f 16384; BUNDLE={room} WORK={room}/work STAGE={room}/work LOCKED=1 RUN= SUMS= FILE_BYTES={LIMIT}"
    argv = [*shell, "-c", with_functions(f"{values} PAYLOAD=payload; {script}")]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", IS_COPIED)
@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_what_never_ends_is_copied_up_to_a_limit(shell: tuple[str, ...], path: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).symlink_to("/dev/zero")
    (tmp_path / "work").mkdir()
    copy, limit = IS_COPIED[path]
    done = run(shell, tmp_path, f"{copy} {'0' * 64} {path}")
    assert (done.returncode, f"{path} does not match its checksum" in done.stderr) == (11, True), done.stderr
    assert [one.stat().st_size for one in (tmp_path / "work").rglob("*") if one.is_file()] == [limit]


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_what_never_ends_is_hashed_up_to_a_limit(shell: tuple[str, ...], tmp_path: Path) -> None:
    with (tmp_path / "conda-lock.yml").open("wb") as file:
        file.truncate(2 * LIMIT)
    done = run(shell, tmp_path, f'verify_file {START} conda-lock.yml; printf %s "$SUMS"')
    assert (done.returncode, done.stdout) == (0, f"{START}  conda-lock.yml\n"), done.stderr


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_sums_are_read_up_to_the_limit(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").symlink_to("/dev/zero")
    done = run(shell, tmp_path, "each_file() { :; }; verify_bundle")
    assert (done.returncode, "SHA256SUMS does not match" in done.stderr) == (11, True), done.stderr

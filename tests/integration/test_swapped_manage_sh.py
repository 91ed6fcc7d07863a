"""Something endless is put in manage's place after install.sh has looked at the bundle."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_a_manage_that_never_ends_is_copied_up_to_a_limit(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "manage").symlink_to("/dev/zero")
    (tmp_path / "work").mkdir()
    # Without a limit, the copy is what ulimit stops: in 512-byte blocks, or in KiB with bash.
    script = f"ulimit -f 16384; BUNDLE={tmp_path} WORK={tmp_path}/work LOCKED=1; verify_manage {'0' * 64}"
    done = subprocess.run([*shell, "-c", with_functions(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, "manage does not match its checksum" in done.stderr) == (11, True), done.stderr
    assert (tmp_path / "work/manage").stat().st_size == 4194304

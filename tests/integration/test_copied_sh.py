"""install.sh uses what it has checked, under each shell: where the bundle lies somebody else may write."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path

MANAGE = b"#!/bin/sh\necho manage\n"
STEPS = """NAME=hello RELEASE=1.0 PROGRAM=install.sh RUN='' IMAGE='' PAYLOAD=payload
BUNDLE=$1 WORK=$2 ROOT=$3 LOCKED=yes SUMS=
each_file() { "$1" "$4" manage; }
verify_file "$4" manage
echo evil >"$BUNDLE/manage"
install_manage
manage_is_installed
"""


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_a_manage_that_was_swapped_after_the_check_is_not_installed(shell: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("bundle", "work", "root"):
        (tmp_path / name).mkdir()
    (tmp_path / "bundle/manage").write_bytes(MANAGE)
    digest = hashlib.sha256(MANAGE).hexdigest()
    places = [str(tmp_path / name) for name in ("bundle", "work", "root")]
    words = [*shell, "-c", with_functions(STEPS), "sh", *places, digest]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "root/manage").read_bytes() == MANAGE

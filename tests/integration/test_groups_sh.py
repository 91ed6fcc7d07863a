"""Whose process it is: by the control group that systemd has for a unit, not by a name in a path; under each shell."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "/system.slice/hello.service"
PROCESSES = {
    "0::/system.slice/hello.service\n": True,
    "0::/system.slice/hello.service/worker\n": True,
    "12:pids:/x\n1:name=systemd:/system.slice/hello.service\n0::/\n": True,
    # a user's own systemd has units, too, and names them as it likes
    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/hello.service\n": False,
    "0::/user.slice/user-1000.slice/user@1000.service/system.slice/hello.service\n": False,
    "12:pids:/system.slice/hello.service\n1:name=systemd:/user.slice\n0::/\n": False,
    "0::/system.slice/helloXservice\n": False,
    "0::/system.slice/hello.service-other\n": False,
    "0::/\n": False,
}


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_a_unit_of_the_same_name_is_none_of_ours(shell: tuple[str, ...], tmp_path: Path) -> None:
    for number, text in enumerate(PROCESSES):
        (tmp_path / str(number)).write_text(text)
    files = [str(tmp_path / str(number)) for number in range(len(PROCESSES))]
    words = [*shell, "-c", with_functions('in_group "$@"'), "sh", GROUP, *files]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [file for file, ours in zip(files, PROCESSES.values(), strict=True) if ours]
    for nothing in ("", "/"):  # of a unit that does not run
        words = [*shell, "-c", with_functions('in_group "$@" || echo none'), "sh", nothing, *files]
        assert subprocess.run(words, capture_output=True, text=True, check=False).stdout == "none\n"

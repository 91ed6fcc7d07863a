"""What preflight says of directives that this systemd does not know, under every shell."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path

ROWS = """
each_newer() {
    "$1" 242 NetworkNamespacePath needed 'it would be outside' 'web.service'
    "$1" 245 ProtectClock '' 'a loss' 'web.service worker@.service'
    "$1" 240 Type=exec '' 'noticed later' 'web.service'
}
"""
NAMESPACE = (
    "install.sh: error: systemd 239 does not support NetworkNamespacePath= of web.service: it would be outside\n"
    "  Use systemd 242 or later; or build the bundle without it.\n"
)
CLOCK = (
    "install.sh: warning: systemd {} ignores ProtectClock= of web.service worker@.service, "
    "which needs systemd 245: a loss\n"
)
EXEC = "install.sh: warning: systemd 239 ignores Type=exec of web.service, which needs systemd 240: noticed later\n"


def said(shell: tuple[str, ...], version: str, image: str = "") -> str:
    script = f"PROGRAM=install.sh\nIMAGE='{image}'\n{ROWS}SYSTEMD_VERSION={version}\ncheck_newer\nexit $PROBLEMS"
    done = subprocess.run(
        [*shell, "-c", with_functions(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == done.stderr.count("error:"), done.stderr
    return done.stderr


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_each_directive_is_told_with_its_units(shell: tuple[str, ...]) -> None:
    assert said(shell, "239") == NAMESPACE + CLOCK.format("239") + EXEC
    assert said(shell, "244") == CLOCK.format("244")
    assert said(shell, "245") == ""
    assert said(shell, "''") == ""  # without systemd


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.parametrize(
    ("library", "version"),
    [
        ("usr/lib/systemd/libsystemd-shared-244.so", "244"),
        ("lib/systemd/libsystemd-shared-244.so", "244"),
        ("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-244.so", "244"),
        ("usr/lib/systemd/libsystemd-shared-244-46.el9_2.so", "244"),
        ("usr/lib/systemd/libsystemd-shared-252.so", ""),
        ("usr/lib/systemd/libsystemd-shared-x.so", ""),
        ("usr/lib/systemd/other", ""),
    ],
)
def test_an_image_says_its_version_by_a_library(
    shell: tuple[str, ...], library: str, version: str, tmp_path: Path
) -> None:
    path = tmp_path / library
    path.parent.mkdir(parents=True)
    path.touch()
    assert said(shell, "''", str(tmp_path)) == (CLOCK.format(version) if version else "")

"""What preflight says where ``network`` of a service is not enforced, under every shell."""

from __future__ import annotations

import subprocess

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

ENFORCED = "return 0"
VERSION_1 = "return 1"


def said(shell: tuple[str, ...], grep: str, **header: str) -> str:
    values = {"NETWORKS": "web, worker", "IMAGE": "", "SYSTEMD": "yes", "BARE": ""} | header
    text = "".join(f"{key}='{value}'\n" for key, value in values.items())
    # a function, for busybox goes before PATH
    script = with_functions(f"PROGRAM=install.sh\n{text}grep() {{ {grep}; }}\ncheck_networks\n")
    done = subprocess.run([*shell, "-c", script], capture_output=True, text=True, check=True)
    return done.stderr


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.parametrize(
    ("grep", "header", "sentence"),
    [
        (VERSION_1, {}, "network = … of web, worker is not enforced: this machine's control groups are of version 1"),
        (ENFORCED, {"SYSTEMD": "no", "BARE": "yes"}, "network = … of web, worker is not enforced without systemd"),
    ],
)
def test_what_is_not_enforced_is_told(shell: tuple[str, ...], grep: str, header: dict[str, str], sentence: str) -> None:
    assert f"warning: {sentence}\n" in said(shell, grep, **header)


@pytest.mark.parametrize(
    ("grep", "header"),
    [(ENFORCED, {}), (VERSION_1, {"NETWORKS": ""}), (VERSION_1, {"IMAGE": "/image"})],
)
def test_nothing_is_told_otherwise(grep: str, header: dict[str, str]) -> None:
    assert said(("sh",), grep, **header) == ""

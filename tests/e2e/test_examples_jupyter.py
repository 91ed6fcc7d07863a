"""examples/jupyter: a notebook server on a machine without a network, and what its users do with it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from bundlekit import install
from everywhere import everywhere
from examplekit import (
    ask,
    environment,
    exposure,
    healthy,
    main_pid,
    secret,
    unit_complaints,
    users,
)
from notebookkit import run_cell, type_in_terminal

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

URL = "http://127.0.0.1:8888"
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module", params=["bookworm", *everywhere("bullseye", "trixie")])
def suite(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def bundle(example: Callable[[str, str], Path], suite: str) -> Path:
    return example("jupyter", suite)


@pytest.fixture(scope="module")
def machine(bundle: Path, suite: str) -> Iterator[Machine]:
    with Machine(rootfs(suite)) as machine:
        install(machine, bundle)
        yield machine


def token(machine: Machine) -> str:
    made = secret(machine, "jupyter", "JUPYTER_TOKEN")
    assert re.fullmatch("[0-9a-f]{64}", made)
    return made


def cell(machine: Machine, code: str) -> str:
    """What a cell prints, in a kernel of its own."""
    return run_cell(machine, "jupyter", code)


def authorised(machine: Machine) -> dict[str, str]:
    return {"Authorization": f"token {token(machine)}"}


def test_only_who_has_the_token_gets_in(machine: Machine) -> None:
    assert ask(machine, f"{URL}/api")[0] == 200
    assert ask(machine, f"{URL}/api/kernels")[0] == 403
    assert ask(machine, f"{URL}/api/kernels", headers={"Authorization": f"token {'0' * 64}"})[0] == 403
    assert ask(machine, f"{URL}/api/kernels", headers=authorised(machine)) == (200, "[]")


def test_a_cell_runs_as_the_services_user_in_the_notebook_directory(machine: Machine) -> None:
    code = "import getpass, os, sys; print(6 * 7, getpass.getuser(), os.getcwd(), os.environ['HOME'], sys.executable)"
    answer, user, directory, home, python = cell(machine, code).split()
    assert (answer, user) == ("42", "jupyter")
    assert (directory, home) == ("/var/lib/jupyter/notebooks", "/var/lib/jupyter")
    assert re.fullmatch(r"/opt/jupyter/envs/[0-9a-f]{12}/bin/python\S*", python)
    assert users(machine, "jupyter") == {"jupyter"}


def test_a_cell_may_write_its_state_and_nothing_else(machine: Machine) -> None:
    code = """
import os, pathlib
for place in ("/opt/jupyter", "/etc", "/usr", "/var", "/var/lib/jupyter", "/var/cache/jupyter", "/tmp"):
    try:
        path = pathlib.Path(place, "written-by-a-cell")
        path.write_text("x")
        path.unlink()
        print(place)
    except OSError:
        pass
"""
    assert cell(machine, code).split() == ["/var/lib/jupyter", "/var/cache/jupyter", "/tmp"]


def test_a_shell_command_and_a_subprocess_run_in_a_cell(machine: Machine) -> None:
    assert cell(machine, "!echo from the shell").strip() == "from the shell"
    assert cell(machine, "import subprocess, sys; print(subprocess.check_output([sys.executable, '-V']).decode())")


def test_a_terminal_finds_the_releases_programs(machine: Machine) -> None:
    shown = type_in_terminal(machine, "jupyter", "python -c 'import sys; print(sys.prefix)'; id -un")
    assert re.search(r"/opt/jupyter/envs/[0-9a-f]{12}\n", shown), shown
    assert "\njupyter\n" in shown


def test_a_kernel_for_which_there_is_no_memory_dies_alone(machine: Machine) -> None:
    """By the OOM killer, or, on a host that gives its machines no control of memory, by the signal that it sends."""
    policy, pid = ("systemctl", "show", "--property=OOMPolicy", "--value", "jupyter"), main_pid(machine, "jupyter")
    assert machine.run(*policy).stdout == "continue\n"
    status, text = ask(machine, f"{URL}/api/kernels", {"name": "python3"}, headers=authorised(machine))
    neighbour = json.loads(text)["id"]
    controllers = machine.run("cat", "/sys/fs/cgroup/cgroup.controllers").stdout.split()
    limit = ("systemctl", "set-property", "--runtime", "jupyter", "MemoryMax=500M", "MemorySwapMax=0")
    machine.run(*limit, check=True)
    greedy = "hoard = b'x' * (1 << 30)" if "memory" in controllers else "import os; os.kill(os.getpid(), 9)"
    assert cell(machine, greedy) == "the kernel has died\n"
    assert cell(machine, "print('another')") == "another\n"
    assert main_pid(machine, "jupyter") == pid
    status, text = ask(machine, f"{URL}/api/kernels", headers=authorised(machine))
    assert (status, neighbour in {kernel["id"] for kernel in json.loads(text)}) == (200, True)
    machine.run("systemctl", "revert", "jupyter", check=True)


def test_the_token_is_in_no_place_where_others_look(machine: Machine, bundle: Path) -> None:
    kept = token(machine)
    cell(machine, "print()")
    told = {
        "systemctl show": machine.run("systemctl", "show", "jupyter").stdout,
        "systemctl cat": machine.run("systemctl", "cat", "jupyter").stdout,
        "the journal": machine.run("journalctl", "--no-pager", "-a").stdout,
        "install.sh": machine.run("cat", "/root/install.log").stdout,
        "ps": machine.run("sh", "-c", "cat /proc/[0-9]*/cmdline").stdout,
    }
    assert all(told.values())
    assert [where for where, text in told.items() if kept in text] == []
    # Jupyter writes it into files of its own, for programs of the same user.
    search = f"grep -rlsF {kept} /etc /opt /run /tmp /var; :"
    assert "/etc/jupyter/secrets.env" in machine.run("sh", "-c", search).stdout
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", search)
    assert machine.run(*as_nobody).stdout == ""
    assert kept not in (bundle / "manifest.json").read_text()


def test_the_unit_is_tight_and_clean(machine: Machine) -> None:
    assert exposure(machine, "jupyter") <= 1.5
    assert unit_complaints(machine, "jupyter.service", "jupyter-health.service") == ""


def test_notebooks_and_token_outlast_a_reboot_and_cells_run(machine: Machine) -> None:
    before = token(machine)
    kept = {"type": "notebook", "content": NOTEBOOK}
    saved = ask(machine, f"{URL}/api/contents/kept.ipynb", kept, method="PUT", headers=authorised(machine))
    assert saved[0] == 201, saved
    machine.reboot()
    assert healthy(machine, "jupyter")
    assert token(machine) == before == environment(machine, main_pid(machine, "jupyter"))["JUPYTER_TOKEN"]
    status, text = ask(machine, f"{URL}/api/contents/kept.ipynb", headers=authorised(machine))
    assert (status, json.loads(text)["content"]["nbformat"]) == (200, 4)
    assert cell(machine, "import glob; print(glob.glob('*'))") == "['kept.ipynb']\n"
    assert users(machine, "jupyter") == {"jupyter"}


def test_a_rotated_token_is_the_only_one(machine: Machine) -> None:
    old = authorised(machine)
    rotated = machine.run("/opt/jupyter/manage", "rotate-secret", "JUPYTER_TOKEN")
    assert rotated.status == 0, rotated.stderr
    assert ask(machine, f"{URL}/api/kernels", headers=old)[0] == 403
    assert cell(machine, "print('again')") == "again\n"

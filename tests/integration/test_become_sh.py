"""How root becomes a service's user without systemd: nothing of the service's is root's to run or walk; each shell."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, WAYS, Way, with_functions, write_service

if TYPE_CHECKING:
    from pathlib import Path

# Tells what root's part ends with; who is not root cannot become anybody.
SETPRIV = """#!/bin/sh
[ "${4-}" != true ] || exit 0
{ pwd; cat /proc/self/environ | tr '\\0' '\\n'; } >"$ROOM/as-root"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
SHOW = """#!/bin/sh
pwd >"$ROOM/as-user"; umask >>"$ROOM/as-user"
tr '\\0' '\\n' </proc/$$/environ >"$ROOM/environ"
printf '<%s>' "$@" >"$ROOM/words"
"""
NASTY = 'it\'s "q" $HOME `id` \\ é'
VARIABLES = {
    "LD_PRELOAD": "",
    "LD_LIBRARY_PATH": "/var/lib/hello",
    "PYTHONPATH": "/var/lib/hello",
    "PATH": "/opt/hello/env/bin:/usr/bin:/bin",
    "IFS": "x",
    "NASTY": NASTY,
    "EMPTY": "",
    "fail": "1",
    "become_name": "2",
}


@dataclass(frozen=True)
class Done:
    """What root's program had, and the user's."""

    root: list[str]
    user: list[str]
    environ: dict[str, str]
    words: str


def become(shell: tuple[str, ...], room: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    (room / "bin").mkdir()
    for name, text in (("oursetpriv", SETPRIV), ("show", SHOW)):
        (room / "bin" / name).write_text(text)
        (room / "bin" / name).chmod(0o755)
    script = "\n".join((f"PROGRAM=manage OPERAND=hello NAME=hello RELEASE=1.0 ROOT={room}", *steps))
    # busybox sh runs one of its own, whatever is in PATH
    script = with_functions(script, of="manage").replace("setpriv", "oursetpriv")
    env = {"PATH": f"{room}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "MANAGE_RUN": "yes", "LC_ALL": "C"}
    return subprocess.run([*shell, "-c", script], cwd=room, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_roots_part_has_nothing_of_the_service(shell: tuple[str, ...], tmp_path: Path) -> None:
    quoted = {name: "'" + value.replace("'", "'\\''") + "'" for name, value in VARIABLES.items()}
    done = become(
        shell,
        tmp_path,
        f"run_user=hello run_group=hello BECOME_MAKES='{tmp_path}/state/a {tmp_path}/state/work/x'",
        f"BECOME_PLACE={tmp_path}/state/work/x BECOME_UMASK=0027",
        f"run_variable ROOM {tmp_path}",
        *(f"run_variable {name} {value}" for name, value in quoted.items()),
        f"export ROOM={tmp_path}",  # for the program in setpriv's place
        f"become {tmp_path}/bin/show \"it's\" '$x' ''",
    )
    assert (done.returncode, done.stderr) == (0, "")
    place, *root = (tmp_path / "as-root").read_text().splitlines()
    assert place == "/"
    assert not [line for line in root if line.partition("=")[0] in VARIABLES.keys() - {"PATH"}]
    assert not [line for line in root if line.startswith("PATH=/opt")]
    assert (tmp_path / "as-user").read_text().splitlines() == [f"{tmp_path}/state/work/x", "0027"]
    assert (tmp_path / "state/a").is_dir()
    got = dict(line.split("=", 1) for line in (tmp_path / "environ").read_text().splitlines())
    own = {"PWD", "OLDPWD", "SHLVL", "_"}  # which the shell of the program sets for itself
    assert {name: value for name, value in got.items() if name not in own} == VARIABLES | {"ROOM": str(tmp_path)}
    assert (tmp_path / "words").read_text() == "<it's><$x><>"


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_what_the_user_cannot_do_ends_it(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    steps = (f"export ROOM={tmp_path}; run_user=hello run_group=hello", f"become {tmp_path}/bin/show")
    done = become(shell, tmp_path, f"BECOME_MAKES={tmp_path}/file/x", *steps)
    assert (done.returncode, f"manage: error: cannot make {tmp_path}/file/x" in done.stderr) == (12, True)
    (tmp_path / "bin/oursetpriv").unlink()
    (tmp_path / "bin/show").unlink()
    (tmp_path / "bin").rmdir()
    done = become(shell, tmp_path, f"BECOME_PLACE={tmp_path}/none", *steps)
    assert (done.returncode, f"cannot enter the working directory {tmp_path}/none" in done.stderr) == (12, True)
    assert not (tmp_path / "words").exists()


UNIT = """[Service]
User=root
Group=root
StateDirectory=hello hello/a/b
RuntimeDirectory=x/y hello
WorkingDirectory=-/run/hello/work
UMask=0077
"""


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.parametrize("way", WAYS)
def test_who_makes_which_directory(shell: tuple[str, ...], tmp_path: Path, way: Way) -> None:
    write_service(tmp_path, UNIT, way)
    done = become(
        shell,
        tmp_path,
        'run_directory() { echo "root: $1"; }',
        "load_launcher; prepare_service",
        'echo "user:$BECOME_MAKES"; echo "$BECOME_PLACE $BECOME_UMASK $VARIABLE_STATE_DIRECTORY"',
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "root: /var/lib/hello",
        "root: /run/x/y",
        "root: /run/hello",
        "user: /var/lib/hello/a/b /run/hello/work",
        "/run/hello/work 0077 /var/lib/hello:/var/lib/hello/a/b",
    ]


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.skipif(os.geteuid() != 0, reason="gives directories away")
def test_a_directory_in_one_that_is_not_roots_is_refused(shell: tuple[str, ...], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    (tmp_path / "ours").mkdir()
    step = "run_user=65534 run_group=65534; run_directory"
    done = become(shell, tmp_path, f"{step} {tmp_path}/theirs/x")
    assert (done.returncode, f"{tmp_path}/theirs is not owned by root" in done.stderr) == (10, True)
    done = become(shell, tmp_path / "ours", f"{step} {tmp_path}/ours/x")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "ours/x").stat().st_uid == 65534


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_another_service_that_starts_now_may_make_the_directory_first(shell: tuple[str, ...], tmp_path: Path) -> None:
    late = 'mkdir() { command mkdir "$@"; command mkdir "$@"; }'  # what it finds when it comes
    done = become(shell, tmp_path, late, f"make_once {tmp_path}/run")
    assert (done.returncode, done.stderr, (tmp_path / "run").is_dir()) == (0, "", True)

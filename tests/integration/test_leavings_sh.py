"""What a service's user has left in the machine's /tmp goes with it: the user removes it, root walks nothing of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 1900000301
"""Nobody's number."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can own files for somebody else")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that stands for /tmp. It has to be where the user can go, as pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="leavings."))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def remove(shell: tuple[str, ...], place: Path, cwd: Path, **header: str) -> str:
    """What ``remove_leavings`` says, run where its user may not be."""
    values = {"IMAGE": "", "SERVICE_USER": "hello", "PROGRAM": "manage"} | header
    head = "".join(f"{key}='{value}'\n" for key, value in values.items())
    known = f"has_entry() {{ :; }}\nid() {{ echo {USER}; }}\n"
    text = with_functions(f"{head}{known}remove_leavings\n", of="manage")
    argv = [*shell, "-c", text.replace("/tmp /var/tmp /dev/shm", f"{place} {place}/none")]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True).stderr


def leave(place: Path) -> None:
    """A tree of the user's, with what root would not like to meet in it."""
    tree = place / "theirs/deep"
    tree.mkdir(parents=True)
    (tree / "file\nname").touch()
    os.mkfifo(tree / "fifo")
    (tree / "up").symlink_to("../..")
    (tree / "away").symlink_to(place / "others")
    for path in (place / "theirs", tree, *tree.iterdir()):
        os.chown(path, USER, USER, follow_symlinks=False)
    (place / "others").mkdir()
    (place / "others").chmod(0o777)  # where the user could remove what is not its own
    (place / "others/kept").touch()
    (place / "roots").mkdir(0o755)  # where only root could remove what is the user's
    (place / "roots/given").touch()
    os.chown(place / "roots/given", USER, USER)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_the_users_own_goes_and_nothing_else(shell: tuple[str, ...], place: Path, tmp_path: Path) -> None:
    leave(place)
    assert remove(shell, place, tmp_path) == ""
    left = sorted(path.relative_to(place).as_posix() for path in place.rglob("*"))
    assert left == ["others", "others/kept", "roots", "roots/given"]


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_what_the_user_cannot_remove_is_told(shell: tuple[str, ...], place: Path, tmp_path: Path) -> None:
    """Another's file in a directory of the user's: what root would have removed as well is left."""
    leave(place)
    inside = place / "theirs/deep/roots"
    inside.mkdir()
    (inside / "file").touch()
    told = f"these still belong to the user hello, which is being removed: {place}/theirs"
    assert f"manage: warning: {told} \n  Remove them.\n" == remove(shell, place, tmp_path)
    assert sorted(path.name for path in (place / "theirs").rglob("*")) == ["deep", "file", "roots"]


def test_who_has_left_nothing_costs_no_process(place: Path, tmp_path: Path) -> None:
    leave(place)
    for path in (place / "theirs").rglob("*"):
        os.chown(path, 0, 0, follow_symlinks=False)
    os.chown(place / "theirs", 0, 0)
    assert remove(("sh",), place, tmp_path) == ""
    assert remove(("sh",), place, tmp_path, IMAGE="/image") == ""
    assert (place / "theirs/deep/fifo").exists()


def in_manage(shell: tuple[str, ...], script: str, *words: Path, **header: str) -> subprocess.CompletedProcess[str]:
    head = "".join(f"{key}='{value}'\n" for key, value in header.items())
    text = with_functions(f"{head}{script}\n", of="manage")
    return subprocess.run([*shell, "-c", text, "sh", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.parametrize("command", ["remove_run_dirs", "remove_tree"])
def test_where_processes_may_live_on_the_owner_removes(shell: tuple[str, ...], command: str, place: Path) -> None:
    """A busybox's rm of root's follows a link that is laid in a directory's place between two of its steps."""
    leave(place)
    directory = place / "theirs"
    inside = directory / "roots"
    inside.mkdir(0o755)
    (inside / "file").touch()
    done = in_manage(shell, f'{command} "$1"', directory, IS_ACCOUNT="yes", DIRECTORIES=str(directory))
    assert sorted(path.name for path in directory.rglob("*")) == ["file", "roots"], "only root can remove these"
    told = "warning: cannot remove" if command == "remove_run_dirs" else "error: cannot remove all of"
    assert done.stderr.startswith(f"test: {told} {directory}")
    shutil.rmtree(inside)
    done = in_manage(shell, f'{command} "$1"', directory, IS_ACCOUNT="yes", DIRECTORIES=str(directory))
    assert (done.returncode, done.stderr) == (0, "")
    left = sorted(path.relative_to(place).as_posix() for path in place.rglob("*"))
    assert left == ["others", "others/kept", "roots", "roots/given"]
    done = in_manage(shell, f'set -eu; {command} "$1"', directory, IS_ACCOUNT="yes", DIRECTORIES=str(directory))
    assert (done.returncode, done.stderr) == (0, ""), "systemd has removed it meanwhile"


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_commands_of_ours_end_and_no_unit_that_is_called_like_one(shell: tuple[str, ...], tmp_path: Path) -> None:
    """A bundle hello-exec has services as well, and may call one hello-exec-7."""
    known = """
        property() { case $1 in hello-exec-7.service) echo no ;; *) echo yes ;; esac; }
        control() {
            case $1 in
                list-units) printf '%s loaded active running x\\n' $UNITS ;;
                stop) echo "$2" >>"$STOPPED" ;;
            esac
        }
        end_commands
    """
    units = (
        "hello-exec-7.service hello-exec-12.service hello-exec-api.service hello-exec-1a.service hello-exec-.service"
    )
    stopped = tmp_path / "stopped"
    assert in_manage(shell, known, UNITS=units, STOPPED=str(stopped)).stderr == ""
    assert stopped.read_text() == "hello-exec-12.service\n"

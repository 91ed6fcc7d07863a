"""share/beam without a BEAM: what it does with the cookie, the flags that it makes, which start scripts it knows."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from shellkit import THREE_SHELLS, shell_id

from bundler.config.project import AppFile
from bundler.pack.app import app_members
from bundler.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path

# As Mix writes it: what follows exec is what ps shows.
STOCK = """#!/bin/sh
set -e
RELEASE_COOKIE="${RELEASE_COOKIE:-"$(cat "$RELEASE_ROOT/releases/COOKIE")"}"
exec "$(dirname "$0")/argv" --cookie "$RELEASE_COOKIE" --sname x \\
     --cookie "$RELEASE_COOKIE" \\
     "$@"
"""
ARGV = """#!/bin/sh
echo "$*"
echo "cookie=$RELEASE_COOKIE"
echo "flags=$ERL_AFLAGS"
echo "node=$RELEASE_NODE"
"""


@pytest.fixture(params=THREE_SHELLS, ids=shell_id)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    for name, text in (("demo", STOCK), ("argv", ARGV)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path / "bin" / "demo"


def beam(
    shell: tuple[str, ...], home: Path, *words: str | Path, **env: str
) -> tuple[subprocess.CompletedProcess[str], str]:
    """What it did, and the cookie that it has left."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(home)} | env
    script = templates_dir() / "share" / "beam.sh"
    done = subprocess.run([*shell, script, *words], env=variables, capture_output=True, text=True, check=False)
    left = home / ".erlang.cookie"
    return done, left.read_text() if left.exists() else ""


def test_the_cookie_goes_into_a_file_and_on_no_command_line(
    shell: tuple[str, ...], program: Path, tmp_path: Path
) -> None:
    done, left = beam(shell, tmp_path, program, "start", "a b", RELEASE_COOKIE="true-cookie")
    assert (done.returncode, done.stderr, left) == (0, "", "true-cookie")
    assert done.stdout.splitlines()[:2] == ["--sname x start a b", "cookie=true-cookie"]
    assert (tmp_path / ".erlang.cookie").stat().st_mode & 0o777 == 0o400
    again, left = beam(shell, tmp_path, program, "start", RELEASE_COOKIE="rotated")
    assert (again.returncode, left) == (0, "rotated")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".erlang.cookie", "bin"]


def test_a_credential_stays_out_of_the_environment(shell: tuple[str, ...], program: Path, tmp_path: Path) -> None:
    for ending in ("", "\n"):
        (tmp_path / "credential").write_text(f"true-cookie{ending}")
        done, left = beam(shell, tmp_path, program, "start", RELEASE_COOKIE_FILE=str(tmp_path / "credential"))
        assert (done.returncode, left) == (0, "true-cookie")
        word = done.stdout.splitlines()[1].removeprefix("cookie=")
        assert len(word) == 32
        assert "true-cookie" not in done.stdout


def test_with_neither_the_cookie_that_is_there_stays(shell: tuple[str, ...], program: Path, tmp_path: Path) -> None:
    beam(shell, tmp_path, program, "start", RELEASE_COOKIE="true-cookie")
    done, left = beam(shell, tmp_path, program, "rpc", "x")
    assert (done.returncode, left, "true-cookie" in done.stdout) == (0, "true-cookie", False)


@pytest.mark.parametrize(
    ("command", "env", "flags"),
    [
        ("start", {}, ""),
        ("start", {"RELEASE_DISTRIBUTION": "none", "ERL_DIST_PORT": "4370"}, ""),
        ("start", {"RELEASE_DISTRIBUTION": "name"}, ""),
        (
            "start",
            {"RELEASE_DISTRIBUTION": "name", "ERL_DIST_PORT": "4370", "ERL_AFLAGS": "-x y"},
            "-start_epmd false -erl_epmd_port 4370 -kernel inet_dist_use_interface {127,0,0,1} -x y",
        ),
        (
            "rpc",
            {"RELEASE_DISTRIBUTION": "sname", "ERL_DIST_PORT": "5", "ERL_DIST_LISTEN": "10.0.0.5"},
            "-start_epmd false -erl_epmd_port 5 -kernel inet_dist_use_interface {10,0,0,5} -dist_listen false",
        ),
    ],
)
def test_flags(
    shell: tuple[str, ...], program: Path, tmp_path: Path, command: str, env: dict[str, str], flags: str
) -> None:
    done, _ = beam(shell, tmp_path, program, command, **env)
    assert done.stdout.splitlines()[2] == f"flags={flags}"


@pytest.mark.parametrize(
    "env",
    [
        {"ERL_DIST_PORT": "1 -setcookie x"},
        {"ERL_DIST_PORT": "1", "ERL_DIST_LISTEN": "::1"},
        {"ERL_DIST_PORT": "1", "ERL_DIST_LISTEN": "10.0.0"},
        {"ERL_DIST_PORT": "1", "ERL_DIST_LISTEN": "1.2.3.4.5"},
        {"ERL_DIST_PORT": "1", "ERL_DIST_LISTEN": "1..3.4"},
        {"ERL_DIST_LISTEN": "x"},
    ],
)
def test_what_is_no_address_is_refused(
    shell: tuple[str, ...], program: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    done, _ = beam(shell, tmp_path, program, "start", RELEASE_DISTRIBUTION="name", **env)
    assert (done.returncode, done.stdout, done.stderr.startswith("beam: ERL_DIST_")) == (78, "", True)


@pytest.mark.parametrize(
    ("env", "node"),
    [
        ({"RELEASE_DISTRIBUTION": "name", "RELEASE_NODE": "web"}, "web@127.0.0.1"),
        ({"RELEASE_DISTRIBUTION": "name", "RELEASE_NODE": "web", "ERL_DIST_LISTEN": "10.0.0.5"}, "web@10.0.0.5"),
        ({"RELEASE_DISTRIBUTION": "name", "RELEASE_NODE": "web@b", "ERL_DIST_LISTEN": "0.0.0.0"}, "web@b"),
        ({"RELEASE_DISTRIBUTION": "name", "ERL_DIST_LISTEN": "10.0.0.5"}, ""),
        ({"RELEASE_DISTRIBUTION": "sname", "RELEASE_NODE": "web", "ERL_DIST_LISTEN": "10.0.0.5"}, "web"),
        ({"RELEASE_DISTRIBUTION": "none", "RELEASE_NODE": "web"}, "web"),
    ],
)
def test_a_nodes_host_is_where_it_listens(
    shell: tuple[str, ...], program: Path, tmp_path: Path, env: dict[str, str], node: str
) -> None:
    done, _ = beam(shell, tmp_path, program, "start", **env)
    assert (done.returncode, done.stdout.splitlines()[3]) == (0, f"node={node}")


def test_a_node_that_listens_everywhere_has_to_be_told_its_host(
    shell: tuple[str, ...], program: Path, tmp_path: Path
) -> None:
    env = {"RELEASE_DISTRIBUTION": "name", "RELEASE_NODE": "web", "ERL_DIST_LISTEN": "0.0.0.0"}
    done, _ = beam(shell, tmp_path, program, "start", **env)
    assert (done.returncode, done.stdout) == (78, "")
    assert "RELEASE_NODE needs the address at which others reach it, such as web@10.0.0.5" in done.stderr


def start(shell: tuple[str, ...], home: Path, *words: str) -> subprocess.Popen[str]:
    """A program that is deaf to the first SIGTERM, as a virtual machine that boots is; it has said that it listens."""
    deaf = "trap 'trap \"exit 7\" TERM' TERM; echo; while :; do sleep 0.1; done"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "RUNTIME_DIRECTORY": f"{home}:{home}/more"}
    script = templates_dir() / "share" / "beam.sh"
    line: list[str | Path] = [*shell, script, *words, "/bin/sh", "-c", deaf]
    program = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, text=True)
    assert program.stdout
    assert program.stdout.readline() == "\n"
    return program


def test_what_boots_is_told_to_stop_until_it_hears_it(shell: tuple[str, ...], tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "RUNTIME_DIRECTORY": str(tmp_path)}
    script = templates_dir() / "share" / "beam.sh"
    with start(shell, tmp_path) as booting:
        beside = start(shell, tmp_path, "--beside")  # which is nobody that is stopped
        beside.kill()
        beside.communicate()
        with subprocess.Popen([*shell, script, "--stop"], env=env | {"MAINPID": str(booting.pid)}) as stop:
            assert booting.wait(timeout=20) == 7
            assert stop.wait(timeout=20) == 0


def test_what_is_up_is_left_to_systemd(shell: tuple[str, ...], tmp_path: Path) -> None:
    with start(shell, tmp_path) as running:
        started = (tmp_path / ".started").read_text().split()
        (tmp_path / ".started").write_text(f"{started[0]} {int(started[1]) - 6100}\n")
        done, _ = beam(shell, tmp_path, "--stop", MAINPID=str(running.pid), RUNTIME_DIRECTORY=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, "")
        running.terminate()  # heard by nobody so far: this is the first
        time.sleep(0.5)
        assert running.poll() is None
        running.kill()


def test_what_has_ended_and_what_has_no_process_is_not_waited_for(shell: tuple[str, ...], tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (tmp_path / ".started").write_text(f"{gone.pid} 999999999\n")
    for env in ({"MAINPID": str(gone.pid), "RUNTIME_DIRECTORY": str(tmp_path)}, {"MAINPID": str(gone.pid)}, {}):
        done, _ = beam(shell, tmp_path, "--stop", **env)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_script_with_a_manner_of_its_own(shell: tuple[str, ...], program: Path, tmp_path: Path) -> None:
    program.write_text(STOCK.replace('--cookie "$RELEASE_COOKIE" --sname', "-setcookie $RELEASE_COOKIE --sname"))
    (tmp_path / "credential").write_text("true-cookie")
    refused, _ = beam(shell, tmp_path, program, "start", RELEASE_COOKIE_FILE=str(tmp_path / "credential"))
    assert (refused.returncode, refused.stdout) == (78, "")
    assert "would pass a cookie on its command line, where ps shows it: to allow that, set delivery =" in refused.stderr
    done, _ = beam(shell, tmp_path, program, "start", RELEASE_COOKIE="true-cookie")
    assert done.stdout.startswith("-setcookie true-cookie")


def test_another_program_is_run_as_it_is(shell: tuple[str, ...], program: Path, tmp_path: Path) -> None:
    done, left = beam(shell, tmp_path, program.parent / "argv", "--cookies", "x", RELEASE_COOKIE="true-cookie")
    assert (done.stdout.splitlines()[0], left) == ("--cookies x", "true-cookie")
    done, _ = beam(shell, tmp_path, "/bin/echo", "x")
    assert (done.returncode, done.stdout) == (0, "x\n")


def test_the_releases_own_cookie_stays_behind(tmp_path: Path) -> None:
    for name in ("demo/releases/COOKIE", "demo/releases/start_erl.data", "demo/releases/1/env.sh", "jar/COOKIE"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    members = app_members(
        (AppFile(target="demo", source=tmp_path / "demo"), AppFile(target="j", source=tmp_path / "jar"))
    )
    paths = {member.path for member in members}
    assert paths == {"app/demo/releases/start_erl.data", "app/demo/releases/1/env.sh", "app/j/COOKIE"}

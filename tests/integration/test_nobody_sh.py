"""Who runs the code of packages on the target, and what it can do there: with each shell, as root, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes others")

PYTHON = "/usr/bin/python3"  # one that everybody may run
ROOMS = pytest.mark.parametrize("roomed", ["yes", ""], ids=["in a room", "without one"])
# What a kernel that gives nobody namespaces of his own answers.
NO_ROOM = "room_words() { return 1; }\n"
# Other tests run at the same time, on machines whose processes this one's root reaches: nothing of theirs is touched.
NUMBERS = tuple(1_910_000_000 + 8 * os.getpid() + number for number in range(4))
OWN = {
    "1900000001 1900000002 1900000003 1900000004": " ".join(map(str, NUMBERS)),
    "/tmp/conda-bundler.": f"/tmp/conda-bundler-test-{os.getpid()}.",
}
HEAD = """set -eu
NAME=hello RELEASE=1.0 PROGRAM=install.sh IMAGE='' SERVICE_USER=root STATE=/var/lib/hello
ROOT={room} WORK={room}/work STAGE={room}/releases/.1.0.partial
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
have() {{ command -v "$1" >/dev/null 2>&1; }}
is_complete() {{ return 1; }}
remove_release() {{ :; }}
seen() {{ printf '%s\\n' "$1"; }}
"""


@pytest.fixture(params=SHELLS, ids=SHELL_IDS)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


@pytest.fixture
def room() -> Iterator[Path]:
    """Where everybody may go, as to a bundle's root; not so below pytest's own directories."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        room.chmod(0o755)
        (room / "work").mkdir(mode=0o700)
        (room / "releases/.1.0.partial/share").mkdir(parents=True)
        (room / "open").mkdir()
        (room / "open").chmod(0o1777)
        yield room


def run(shell: tuple[str, ...], room: Path, roomed: str, steps: str) -> subprocess.CompletedProcess[str]:
    script = with_functions(f"{HEAD.format(room=room)}{'' if roomed else NO_ROOM}{steps}\n")
    for theirs, ours in OWN.items():
        assert theirs in script
        script = script.replace(theirs, ours)
    words = [*shell, "-c", script]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ROOTS_OWN": "1"}
    groups = [4242]  # root has some, on some machines
    return subprocess.run(words, env=env, cwd=room, extra_groups=groups, capture_output=True, text=True, check=False)


LOOK = """
id -u; id -g; id -G; pwd; sed -n 's/^NoNewPrivs:.//p' /proc/self/status; readlink /proc/self/ns/net; ls -A "$HOME"
for d in "$HOME" @ROOM@/open /tmp /dev/shm @ROOM@ @ROOM@/work; do
    ( : >"$d/nobody-was-here" ) 2>/dev/null && echo "$d"
done
set | sed -n /ROOTS_OWN/p
"""


@ROOMS
def test_who_it_is_and_what_it_can_write_to(shell: tuple[str, ...], room: Path, roomed: str) -> None:
    (room / "open/look").write_text(LOOK.replace("@ROOM@", str(room)))
    steps = f"""prepare_nobody "" ""
echo "$NOBODY_HOME $NOBODY_ROOMED"
ask_nobody 20 env -i HOME="$NOBODY_HOME" PATH="$PATH" /bin/sh {room}/open/look
dismiss_nobody
[ ! -e "${{NOBODY_HOME%/*}}" ]
"""
    done = run(shell, room, roomed, steps)
    assert (done.returncode, done.stderr) == (0, "")
    first, uid, gid, groups, place, no_new, network, *writable = done.stdout.splitlines()
    home, *had = first.split()
    assert had == ([roomed] if roomed else [])
    assert (gid, groups, place, no_new) == (uid, uid, "/", "1")
    assert (network != str(Path("/proc/self/ns/net").readlink())) == bool(roomed)
    assert int(uid) > 60000
    open_to_all = [f"{room}/open", "/tmp", "/dev/shm"]
    assert writable == ([home] if roomed else [home, *open_to_all])
    for place in open_to_all:
        subprocess.run(["rm", "-f", f"{place}/nobody-was-here"], check=True)


def test_a_number_that_is_somebodys_is_not_taken(shell: tuple[str, ...], room: Path) -> None:
    (room / "subuid").write_text("a:100000:65536\nb:1900000001:1\nbroken\n")
    assert run(shell, room, "", f"in_ranges 1900000001 {room}/subuid && in_ranges 165535 {room}/subuid").returncode == 0
    for number in (99999, 165536, 1900000002):
        assert run(shell, room, "", f"in_ranges {number} {room}/subuid").returncode == 1
    assert run(shell, room, "", f"is_somebody 0 && ! is_somebody {NUMBERS[0]}").returncode == 0
    with subprocess.Popen(["setpriv", f"--reuid={NUMBERS[0]}", "--clear-groups", "sleep", "60"]) as other:
        try:
            done = run(shell, room, "", "choose_nobody; echo $NOBODY")
        finally:
            other.kill()
    assert done.stdout == f"{NUMBERS[1]}\n", done.stderr


@ROOMS
def test_nothing_of_it_is_left(shell: tuple[str, ...], room: Path, roomed: str) -> None:
    """What goes into a session of its own, and what lasts too long."""
    own = f"{os.getpid()}000"  # no other test waits as long
    leaving = f'setsid sleep {own}1 & (setsid sh -c "trap : TERM; sleep {own}2; :" &) ; exit 5'
    steps = f"""prepare_nobody "" ""
ask_nobody 20 /bin/sh -c '{leaving}' >{room}/said 2>&1 || echo "$?"
ask_nobody 1 sleep {own}3 >{room}/said 2>&1 || echo "$?"
"""
    done = run(shell, room, roomed, steps)
    assert done.stdout.split() == ["5", "137"], done.stderr
    found = subprocess.run(["pgrep", "-f", f"sleep {own}[123]"], capture_output=True, text=True, check=False)
    left = found.stdout.split()
    for process in left:
        os.kill(int(process), signal.SIGKILL)
    assert left == []


def python(room: Path) -> Path:
    """The stage of a bundle with a Python, which a package has changed to its liking, and a module to compile."""
    stage = room / "releases/.1.0.partial"
    (stage / "env/bin").mkdir(parents=True)
    (stage / "app").mkdir()
    (stage / "app/good.py").write_text("x = 1\n")
    (stage / "share/bytecode").write_text("app/good.py\n")
    (stage / "env/bin/python").write_text(
        f'#!/bin/sh\nid -u >"$HOME/id" && cp "$HOME/id" "{room}/open/id" 2>/dev/null\nfor word; do case $word in'
        " pycache_prefix=*) out=${word#*=} ;; esac; done\n"
        f'. "{room}/open/evil"\nexec {PYTHON} "$@"\n'
    )
    (stage / "env/bin/python").chmod(0o755)
    (room / "open/evil").write_text("")
    return stage


@ROOMS
def test_bytecode_is_made_by_nobody_and_is_roots(shell: tuple[str, ...], room: Path, roomed: str) -> None:
    stage = python(room)
    done = run(shell, room, roomed, "compile_bytecode")
    assert (done.returncode, done.stderr) == (0, "hello 1.0: compiling 1 modules\n")
    ask = [PYTHON, "-c", "import sys; print(sys.implementation.cache_tag)"]
    tag = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    made = stage / f"app/__pycache__/good.{tag}.pyc"
    assert sorted(path.name for path in (stage / "app").rglob("*")) == ["__pycache__", f"good.{tag}.pyc", "good.py"]
    assert (made.stat().st_uid, made.stat().st_gid, made.stat().st_mode & 0o7777) == (0, 0, 0o644)
    assert made.parent.stat().st_mode & 0o7777 == 0o755
    assert [path.name for path in (room / "releases").iterdir()] == [".1.0.partial"]
    assert not (room / "open/id").exists() or (room / "open/id").read_text() != "0\n"


EVIL = {
    "link": 'mkdir -p "$out$PWD"; ln -s /etc/shadow "$out$PWD/x.pyc"',
    "directory that is a link": 'ln -s /etc "$out/etc"',
    "hard link": 'mkdir -p "$out$PWD/app"; : >"$out/a"; ln "$out/a" "$out$PWD/app/good.cpython-1.pyc"',
    "what was not asked for": 'mkdir -p "$out$PWD/app"; : >"$out$PWD/app/os.cpython-311.pyc"',
    "another kind of file": 'mkdir -p "$out$PWD/env/bin"; : >"$out$PWD/env/bin/tool"',
    "pipe": 'mkfifo "$out/pipe"',
}


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_else_is_taken(room: Path, evil: str) -> None:
    stage = python(room)
    (room / "open/evil").write_text(EVIL[evil] + "\n")
    before = sorted(stage.rglob("*"))
    for roomed in ("yes", ""):
        done = run(("dash",), room, roomed, "compile_bytecode")
        assert (done.returncode, "some modules were not compiled" in done.stderr) == (0, True), done.stderr
        assert sorted(stage.rglob("*")) == before
        assert [path.name for path in (room / "releases").iterdir()] == [".1.0.partial"]


SCRIPT = """
export WHO="$(id -u)" HERE="$HOME/x" SITE="$PYTHONNOUSERSITE" CONDA="$CONDA_PREFIX/share"
echo here >"$HOME/kept" && export KEPT="$(cat "$HOME/kept")"
export WROTE="$(for d in @ROOM@/open @ROOM@; do ( : >"$d/nobody-was-here" ) 2>/dev/null && echo "$d"; done)"
"""


@ROOMS
def test_activation_scripts_are_nobodys(shell: tuple[str, ...], room: Path, roomed: str) -> None:
    stage = room / "releases/.1.0.partial"
    (stage / "env").mkdir()
    (stage / "config").mkdir()
    (stage / "env/a.sh").write_text(SCRIPT.replace("@ROOM@", str(room)))
    (stage / "config/activation.list").write_text("sh env/a.sh\n")
    (stage / "config/activation.env").write_text(f'CONDA_PREFIX="{room}/releases/1.0/env"\n')
    done = run(shell, room, roomed, f"activate {stage}")
    assert (done.returncode, done.stderr) == (0, "hello 1.0: running its activation scripts\n")
    lines = (stage / "config/activation.env").read_text().splitlines()
    got = dict(line.split("=", 1) for line in lines if "=" in line)
    assert int(got.pop("WHO").strip('"')) > 60000
    wrote = got.pop("WROTE")
    assert wrote == ('""' if roomed else f'"{room}/open"')
    assert got == {
        "HERE": '"/var/lib/hello/x"',  # what is built upon the home is the service's
        "SITE": '"1"',
        "KEPT": '"here"',
        "CONDA": f'"{room}/releases/1.0/env/share"',
        "CONDA_PREFIX": f'"{room}/releases/1.0/env"',
    }

"""install.sh, manage and the head of a .run take nothing from the environment of who calls them, under each shell."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS

from bundler.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = ("install/install.sh.j2", "manage/manage.j2", "run/run.sh.j2")
FIRST = '<% include "lib/sanitize-env.sh" %>'
# Bash in POSIX mode refuses functions that are called as its special builtins, and `[`.
FUNCTIONS = ("compgen", "builtin", "command", "printf", "test", "cd", "umask", "shopt", "sha256sum", "read")
SPECIAL = ("[", "set", "unset", "eval", "trap", "exec", "export")
OPTIONS = {
    "BASHOPTS": "failglob:nocasematch",
    "SHELLOPTS": "noglob:allexport",
    "GLOBIGNORE": "/proc/*",
    "FUNCNEST": "1",
    "POSIXLY_CORRECT": "yes",
    "IFS": "/",
}
# Prints nothing if all is as it should be.
LOOK = """
set -eu
no() { inner() { echo "$1 is the caller's"; }; inner "$1"; }
[ "$(printf '' | sha256sum)" = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  -" ] || no sha256sum
test "$(command -v sh)" || no command
case A in a) no nocasematch ;; esac
set -- /proc/[1]/stat
[ "$1" = /proc/1/stat ] || no noglob
for none in /nowhere/*; do [ "$none" = "/nowhere/*" ] || no failglob; done
OURS=1
env | grep -e ^OURS= -e ^POSIXLY_CORRECT= || :
"""


def functions(names: tuple[str, ...], trace: Path) -> dict[str, str]:
    return {f"BASH_FUNC_{name}%%": f"() {{ echo {name} >>{trace}; }}" for name in names}


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["functions", "options"])
@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_nothing_of_the_callers_is_used(shell: tuple[str, ...], options: dict[str, str], tmp_path: Path) -> None:
    names = FUNCTIONS if shell == ("bash", "--posix") or options else (*FUNCTIONS, *SPECIAL)
    script = tmp_path / "script"
    script.write_text((templates_dir() / "lib/sanitize-env.sh").read_text("utf-8") + LOOK)
    path = {"PATH": "/usr/bin:/bin"}
    words = [*shell, str(script)]
    done = subprocess.run(
        words,
        env={**path, **options, **functions(names, tmp_path / "trace")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("shell", [("bash",), ("bash", "--posix")], ids=["bash", "bash-posix"])
def test_bash_goes_on_as_it_was_started(shell: tuple[str, ...], tmp_path: Path) -> None:
    script = tmp_path / "script"
    text = (templates_dir() / "lib/sanitize-env.sh").read_text("utf-8")
    script.write_text(text + 'case $SHELLOPTS in *posix*) echo posix ;; esac\nprintf "%s\\n" "$@"\n')
    done = subprocess.run([*shell, str(script), "a b", "c"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*(["posix"] if "--posix" in shell else []), "a b", "c"]


@pytest.mark.parametrize("frame", FRAMES)
def test_it_comes_before_every_other_command(frame: str) -> None:
    lines = (templates_dir() / frame).read_text("utf-8").splitlines()
    before = lines[: lines.index(FIRST)]
    assert [line for line in before if not line.startswith(("#", "{ # "))] == []

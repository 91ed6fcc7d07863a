"""What the two scripts read of each other: whether one runs, what it has left, what a release consists of."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, Script, with_functions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
WITHOUT_FLOCK = "have() { [ $1 != flock ]; }\n"
HELD = 'exec 9>"$RUN_DIR/lock"; flock -n 9\n'
OWNED_BY_US = 'mkdir "$RUN_DIR/lock.d"; printf "%s %s\\n" $$ "$(started_at $$)" >"$RUN_DIR/lock.d/owner"\n'
OWNED_BEFORE = 'mkdir "$RUN_DIR/lock.d"; echo "$$ 1" >"$RUN_DIR/lock.d/owner"\n'
INVENTORY = """\
service web.service - 1 5 -
service api.service api-health.service 2 6 tcp://x:1
secret KEY 32 hex 64 credential
"""


def run(shell: tuple[str, ...], room: Path, script: str, *, of: Script = "manage") -> subprocess.CompletedProcess[str]:
    for name in ("run", "record", "releases/1.0"):
        (room / name).mkdir(parents=True, exist_ok=True)
    text = f"PROGRAM=test NAME=hello IMAGE= RELEASE=1.0 ROOT={room} RECORD={room}/record RUN_DIR={room}/run\n{script}"
    return subprocess.run(
        [*shell, "-c", with_functions(text, of=of)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("state", "running"),
    [
        ("", False),
        (HELD, False),  # it has the lock a moment before its scratch directory
        ('mkdir "$RUN_DIR/work"\n', False),  # left by one that was killed
        (f'mkdir "$RUN_DIR/work"\n{HELD}', True),
        (f'{WITHOUT_FLOCK}mkdir "$RUN_DIR/work"\n', False),
        (f'{WITHOUT_FLOCK}mkdir "$RUN_DIR/work"\n{OWNED_BY_US}', True),
        (f'{WITHOUT_FLOCK}mkdir "$RUN_DIR/work"\n{OWNED_BEFORE}', False),  # the number was given anew
    ],
)
def test_whether_an_install_is_running(shell: tuple[str, ...], tmp_path: Path, state: str, running: bool) -> None:
    done = run(shell, tmp_path, f"{state}if install_is_running; then echo yes; else echo no; fi\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "yes\n" if running else "no\n", "")


@pytest.mark.parametrize(
    ("state", "status"),
    [("", 10), (f'mkdir "$RUN_DIR/work"\n{HELD}', 13), (f'mkdir "$RUN_DIR/work"\n{HELD}LOCKED=yes\n', 10)],
)
def test_nothing_is_begun_between_two_releases(shell: tuple[str, ...], tmp_path: Path, state: str, status: int) -> None:
    (tmp_path / "record").mkdir()
    assert run(shell, tmp_path, f"{state}refuse_unfinished; echo on").stdout == "on\n"
    (tmp_path / "record/transaction").write_text("action=install\nto=2.0\n")
    for left in ("run/work", "run/lock"):
        if (tmp_path / left).exists():
            (tmp_path / left).rmdir() if left == "run/work" else (tmp_path / left).unlink()
    done = run(shell, tmp_path, f"LOCKED=\n{state}refuse_unfinished; echo on")
    assert (done.returncode, done.stdout) == (status, "")


@pytest.mark.parametrize("head", ["", "format 1\n"], ids=["0.1", "1"])
def test_the_fields_of_an_inventory(shell: tuple[str, ...], tmp_path: Path, head: str) -> None:
    (tmp_path / "releases/1.0").mkdir(parents=True)
    (tmp_path / "releases/1.0/inventory").write_text(f"{head}{INVENTORY}")
    script = """
    service() { echo "$1|$service_health|$service_start|$service_timeout|$service_url"; }
    secret() { echo "$1|$secret_bytes|$secret_format|$secret_length|$secret_delivery"; }
    each_service_of 1.0 service
    each_secret_of 1.0 secret
    """
    done = run(shell, tmp_path, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "web.service||1|5|",
        "api.service|api-health.service|2|6|tcp://x:1",
        "KEY|32|hex|64|credential",
    ]


def test_an_inventory_of_a_format_that_is_not_known_is_refused(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "releases/1.0").mkdir(parents=True)
    (tmp_path / "releases/1.0/inventory").write_text(f"format 2\n{INVENTORY}")
    done = run(shell, tmp_path, "each_service_of 1.0 echo")
    assert (done.returncode, done.stdout) == (12, "")
    assert "has the format '2'" in done.stderr


def test_what_is_written_is_what_is_read(shell: tuple[str, ...], tmp_path: Path) -> None:
    script = """
    SERVICE_UID=999 OWN_USERS="hello-web:4000 hello-api:"
    each_service() {
        as_service "$1" web.service '' 1 5 ''
        as_service "$1" api.service api-health.service 2 6 tcp://x:1
    }
    each_secret() { as_secret "$1" KEY 32 hex 64 credential; }
    inventory_text
    """
    done = run(shell, tmp_path, script, of="install")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"format 1\n{INVENTORY}user hello-web 4000\nuser hello-api -\nuid 999\n"

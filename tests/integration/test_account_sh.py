"""``install.sh --user`` and ``bundle.uid``, under every shell: whose user it is, what is refused, what units say."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
PASSWD = """root:x:0:0::/root:/bin/sh
toor:x:0:0::/root:/bin/sh
nobody:x:65534:65534::/:/bin/false
wheely:x:1001:0::/home/wheely:/bin/sh
svc.app:x:1002:2002::/home/svc:/bin/sh
svcxapp:x:1009:2002::/home/svc:/bin/sh
taken:x:1003:2003::/:/bin/false
alias:x:1003:2003::/:/bin/false
odd:x:1004:2004::/:/bin/false
hello:x:998:998::/var/lib/hello:/bin/false
"""
GROUP = "root:x:0:\nsvc:x:2002:\ntaken:x:2003:\ndomain users:x:2004:\nhello:x:998:\nothers:x:4321:\n"


def run(shell: tuple[str, ...], room: Path, script: str, *, owned: str = "") -> str:
    """What ``script`` prints on a machine, an image in ``room``, whose record has ``owned``."""
    files = {
        "etc/passwd": PASSWD,
        "etc/group": GROUP,
        "etc/subuid": "someone:100000:65536\n",
        "var/lib/conda-bundler/other/owned": "user taken\n",
        "var/lib/conda-bundler/hello/owned": owned,
    }
    for name, text in files.items():
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_text(text)
    head = f"PROGRAM=install.sh NAME=hello SERVICE_USER=hello SERVICE_UID= RELEASE=1 IMAGE={room} STATE=/x\n"
    head += f"RECORD={room}/var/lib/conda-bundler/hello WORK={room} ROOT={room} UNIT_DIR= STAGE_NAME=\n"
    stubs = 'problem() { printf "%s\\n" "$1"; }\nmisuse() { printf "%s\\n" "$1"; exit 2; }\n'
    stubs += 'chosen() { choose_account "$ACCOUNT"; }\n'
    done = subprocess.run(
        [*shell, "-c", with_functions(f"{head}{stubs}{script}")], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("svc.app", ""),
        ("gone", "there is no user 'gone' in the image\n"),
        ("root", "the user 'root' is root\n"),
        ("toor", "the user 'toor' is root\n"),
        ("nobody", "the user 'nobody' is the system's nobody, shown as the owner of files that have none\n"),
        ("wheely", "the primary group of the user 'wheely' is root\n"),
        ("taken", "the user 'taken' (uid 1003) already belongs to the bundle 'other'\n"),
        ("alias", "the user 'alias' (uid 1003) already belongs to the bundle 'other'\n"),
        ("hello", ""),  # it is not ours, and that is said
        ("1002", "--user needs the name of a user, of at most 31 letters, digits, _ . and -, not '1002'\n"),
        ("a b", "--user needs the name of a user, of at most 31 letters, digits, _ . and -, not 'a b'\n"),
        ("x$(id)", "--user needs the name of a user, of at most 31 letters, digits, _ . and -, not 'x$(id)'\n"),
    ],
)
def test_which_user_may_be_taken(shell: tuple[str, ...], tmp_path: Path, user: str, said: str) -> None:
    assert run(shell, tmp_path, f"take_user '{user}'; chosen; check_account") == said


@pytest.mark.parametrize(("user", "group"), [("svc.app", "svc"), ("odd", "2004"), ("hello", "hello")])
def test_what_is_recorded(shell: tuple[str, ...], tmp_path: Path, user: str, group: str) -> None:
    assert run(shell, tmp_path, f"take_user {user}; chosen; user_line") == f"account {user} {group}\n"
    assert run(shell, tmp_path, "chosen; user_line") == "user hello\n"
    told = run(shell, tmp_path, "chosen; user_line; owns_user && check_account", owned="account odd 2004\n")
    assert told == "account odd 2004\n"


def test_the_record_holds(shell: tuple[str, ...], tmp_path: Path) -> None:
    script = "take_user svc.app; chosen; user_line; check_account"
    told = run(shell, tmp_path, script, owned="account odd 2004\n")
    assert told == (
        "account odd 2004\nservices of hello already run as odd on this machine, the owner of their state\n"
    )
    told = run(shell, tmp_path, script, owned="user hello\n")
    assert told == "user hello\nservices of hello already run as hello on this machine, the owner of their state\n"
    assert run(shell, tmp_path, "take_user hello; chosen; check_account", owned="user hello\n") == ""


def test_units_are_fitted(shell: tuple[str, ...], tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    (units / "a.service").write_text("[Unit]\nAfter=x\n[Service]\nUser=hello\nGroup=hello\nEnvironment=A=hello\n")
    (units / "a-watch.service").write_text("[Unit]\nAfter=x\n[Service]\nExecStart=/bin/sh hello\n")
    chown = "ExecStartPost=+/bin/chown -h hello:{} /run/x\n"
    (units / "a.socket").write_text(f"[Unit]\n[Socket]\n{chown.format('hello')}")
    (units / "b.socket").write_text(f"[Unit]\n[Socket]\n{chown.format('www-data')}")
    before = {path.name: path.read_text() for path in units.iterdir()}
    assert run(shell, tmp_path, f"chosen; fit_units_to_account {units}") == ""
    assert {path.name: path.read_text() for path in units.iterdir()} == before
    assert run(shell, tmp_path, f"take_user svc.app; chosen; fit_units_to_account {units}") == ""
    first = "[Unit]\nAfter=nss-user-lookup.target\n"
    assert {path.name: path.read_text() for path in units.iterdir()} == before | {
        "a.service": f"{first}After=x\n[Service]\nUser=svc.app\nGroup=svc\nEnvironment=A=hello\n",
        "a.socket": f"{first}[Socket]\nExecStartPost=+/bin/chown -h svc.app:svc /run/x\n",
        "b.socket": f"{first}[Socket]\nExecStartPost=+/bin/chown -h svc.app:www-data /run/x\n",
    }


@pytest.mark.parametrize(
    ("uid", "owned", "said"),
    [
        ("4000", "", ""),
        ("1003", "", "the number 1003 for {of} is already used in /etc/passwd by 'taken'\n"),
        ("4321", "", "the number 4321 for {of} is already used in /etc/group by 'others'\n"),
        (
            "100001",
            "",
            "the number 100001 for {of} is in a range of {room}/etc/subuid, which containers use\n",
        ),
        ("998", "user hello\n", ""),
        (
            "1234",
            "user hello\n",
            "the user hello and its state have the uid 998 on this machine, but this bundle was built for 1234\n",
        ),
        ("1234", "account odd 2004\n", ""),
    ],
)
def test_which_number_may_be_had(shell: tuple[str, ...], tmp_path: Path, uid: str, owned: str, said: str) -> None:
    gone = "" if owned else "SERVICE_USER=newcomer;"
    told = run(shell, tmp_path, f"{gone} SERVICE_UID={uid}; chosen; check_uid", owned=owned)
    assert told == said.format(room=tmp_path, of="newcomer")


def test_what_sysusers_is_told(shell: tuple[str, ...], tmp_path: Path) -> None:
    assert run(shell, tmp_path, "sysusers_line; SERVICE_UID=1234; sysusers_line") == (
        'u hello - "hello service" /x\nu hello 1234 "hello service" /x\n'
    )

"""What ``manage exec`` makes of a unit's lines and of a command's words, under each shell."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import THREE_SHELLS, shell_id, with_functions

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """set -eu
LC_ALL=C
PROGRAM=test
NAME=hello
RELEASE=1.0
PLACE=$1
OPERAND=web
exec_unit=hello-exec-5.service
shift
"""
UNIT = r"""# /usr/local/lib/systemd/system/web.service
[Unit]
Environment=NOT=this
[Service]
Type=exec
ExecStart=/bin/x \
    --more
# Environment=NOR=this
Environment=A=%% B=%%n C=%n D=%p-%t-%S
Environment=TOKEN_FILE=/run/credentials/web.service/TOKEN OTHER=/run/credentials/web.service2
  UMask = 0077
[Install]
WantedBy=nobody

# /etc/systemd/system/web.service.d/override.conf
[Service]
Environment=
Environment=E="1 2" \
   F=%d/X
LoadCredential=TOKEN:/etc/hello/credentials/TOKEN
"""
LINES = """Type=exec
ExecStart=/bin/x      --more
Environment=A=% B=%n C=web.service D=web-/run-/var/lib
Environment=TOKEN_FILE=/run/credentials/hello-exec-5.service/TOKEN OTHER=/run/credentials/web.service2
UMask=0077
Environment=
Environment=E="1 2"     F=/run/credentials/hello-exec-5.service/X
LoadCredential=TOKEN:/etc/hello/credentials/TOKEN
"""


@pytest.fixture(params=THREE_SHELLS, ids=shell_id)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def run(
    shell: tuple[str, ...], room: Path, script: str, *words: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell, "-c", with_functions(HEAD + script, of="manage"), "test", room, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_units_lines(shell: tuple[str, ...], tmp_path: Path) -> None:
    done = run(shell, tmp_path, "service_lines", stdin=UNIT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == LINES


def test_an_instances_lines(shell: tuple[str, ...], tmp_path: Path) -> None:
    unit = "[Service]\nEnvironment=A=%i-%p-%N-%n-%%i KEY=/run/credentials/web@%i.service/KEY\n"
    done = run(shell, tmp_path, "OPERAND=web@12; service_lines", stdin=unit)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Environment=A=12-web-web@12-web@12.service-%i KEY=/run/credentials/hello-exec-5.service/KEY\n"
    )


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("Environment", True),
        ("EnvironmentFile", True),
        ("CPUQuota", True),
        ("ProtectProc", True),
        ("ProtectFuture", False),  # of a systemd that is newer than this one
        ("Protect", False),
        ("ExecStart", False),
        ("ExecStop", False),
        ("Type", False),
        ("TimeoutStopSec", False),
        ("RuntimeDirectory", True),
        ("RuntimeMaxSec", False),
        ("SetCredential", False),
        ("LoadCredential", True),
    ],
)
def test_which_of_them_are_the_commands_as_well(shell: tuple[str, ...], tmp_path: Path, key: str, wanted: bool) -> None:
    known = "Type ExecStart ExecStop TimeoutStopSec Environment EnvironmentFiles CPUQuotaPerSecUSec ProtectProc"
    known += " RuntimeDirectory RuntimeMaxSec SetCredential LoadCredential"
    script = "exec_knows=$(printf '%s=\\n' $2); if is_for_command \"$1\"; then echo yes; fi"
    done = run(shell, tmp_path, script, key, known)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "yes\n" if wanted else "")


@pytest.mark.parametrize(
    ("word", "wanted"), [("plain", "plain"), ("$HOME", "$$HOME"), ("${A}$$\n\n", "$${A}$$$$\n\n"), ("", "")]
)
def test_a_dollar_is_no_variable(shell: tuple[str, ...], tmp_path: Path, word: str, wanted: str) -> None:
    done = run(shell, tmp_path, 'double_dollars "$1"; printf \'%s\' "$exec_word"', word)
    assert (done.stdout, done.stderr) == (wanted, "")


def test_a_program_is_looked_up_where_a_services_is(shell: tuple[str, ...], tmp_path: Path) -> None:
    release = tmp_path / "releases" / "1.0"
    for path in ("env/bin/both", "app/both", "app/demo/bin/demo", "env/bin/data"):
        (release / path).parent.mkdir(parents=True, exist_ok=True)
        (release / path).write_text("#!/bin/sh\n")
        (release / path).chmod(0o644 if path == "env/bin/data" else 0o755)
    for word, path in (
        ("both", f"{release}/env/bin/both"),
        ("demo/bin/demo", f"{release}/app/demo/bin/demo"),
        ("/bin/sh", "/bin/sh"),
    ):
        done = run(shell, tmp_path, 'program_of "$1"', word)
        assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    for word in ("data", "demo", "sh", "", "/bin/nothing", "../app/nothing"):
        done = run(shell, tmp_path, 'program_of "$1"', word)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"no program '{word}' in the release's env/bin or app" in done.stderr

"""A unit -> the launcher of its service, for servers without systemd."""

from __future__ import annotations

import shlex

import pytest

from bundler.installer.launcher import launchers

UNIT = """# head
[Unit]
Description=Hello

[Service]
Type=exec
ExecStartPre=-/bin/true ${A}
ExecStartPre=+/bin/chown x
ExecStart=/env/bin/python -m hello "--greet=it's 100%% $${A}" ${B}/c $ARGS
ExecReload=/bin/sh -c "kill -s HUP ${MAINPID}"
StateDirectory=hello hello/x
StateDirectoryMode=0700
RuntimeDirectory=hello
WorkingDirectory=-/var/lib/hello
User=hello
Group=hello
UMask=0077
Environment=A=1
Environment="B=two words" C=50%%
EnvironmentFile=/config/hello.env
EnvironmentFile=-/etc/hello/hello.env
UnsetEnvironment=PYTHONPATH X
LoadCredential=TOKEN:/etc/hello/credentials/TOKEN
TimeoutStartSec=1min 30s
"""
LAUNCHER = """\
# What hello.service says, for `manage run` on a server without systemd. Made by conda-bundler.

prepare_service() {
    run_as hello hello 0077
    run_directories STATE /var/lib 'hello hello/x' 0700
    run_directories RUNTIME /run hello
    run_variable A 1
    run_variable B 'two words'
    run_variable C 50%
    run_file /config/hello.env
    run_file /etc/hello/hello.env optional
    run_without PYTHONPATH
    run_without X
    run_credential TOKEN /etc/hello/credentials/TOKEN
    run_in /var/lib/hello
}

before_service() {
    set -f
    run_before_start 90 yes '/bin/true ${A}' /bin/true "${VARIABLE_A-}"
    cannot_run_before_start '+/bin/chown x'
    set +f
}

start_service() {
    set -f
    become /env/bin/python -m hello '--greet=it'"'"'s 100% ${A}' "${VARIABLE_B-}"/c ${VARIABLE_ARGS-}
}

RELOAD_LINE='/bin/sh -c "kill -s HUP ${MAINPID}"'
reload_service() {
    set -f
    become /bin/sh -c 'kill -s HUP '"${VARIABLE_MAINPID-}"
}
"""


def launcher(unit: str) -> str:
    (text,) = launchers(["hello.service"], {"units/hello.service": unit}).values()
    return text


def test_everything_that_a_unit_says() -> None:
    assert launcher(UNIT) == LAUNCHER


def test_each_instance_has_one() -> None:
    units = {"units/work@.service": "[Service]\nExecStart=/bin/work %i 5%%i\nEnvironmentFile=/config/work@%i.env\n"}
    found = launchers(["work@1.service", "work@12.service"], units)
    assert list(found) == ["launch/work@1", "launch/work@12"]
    assert "become /bin/work 12 5%i\n" in found["launch/work@12"]
    assert "run_file /config/work@12.env\n" in found["launch/work@12"]


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("", "90"),
        ("TimeoutStartSec=5 min\n", "300"),
        ("TimeoutStartSec=500ms\n", "1"),
        ("TimeoutStartSec=infinity\n", "''"),
        ("TimeoutStartSec=0\n", "''"),
        ("Type=oneshot\n", "''"),
    ],
)
def test_for_how_long_may_run_what_comes_before(lines: str, seconds: str) -> None:
    text = launcher(f"[Service]\n{lines}ExecStartPre=/bin/true\nExecStart=/bin/true\n")
    assert f"    run_before_start {seconds} '' /bin/true /bin/true\n" in text


def test_a_value_is_never_shell() -> None:
    environment = "Environment=\"A=$(id)`id`'; id; '\""
    start = """ExecStart=/bin/echo $(id) `id` ';' "'" "$${HOME}" ${X-$(id)}"""
    text = launcher(f"[Service]\n{environment}\n{start}\n")
    assert shlex.join(["run_variable", "A", "$(id)`id`'; id; '"]) in text
    assert shlex.join(["become", "/bin/echo", "$(id)", "`id`", ";", "'", "${HOME}", "${X-$(id)}"]) in text

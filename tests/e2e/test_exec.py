"""manage exec: a command runs as the service would run it, on systemd 247, 252 and 257, and without systemd."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from installkit import COOKIE, Member, Spec
from targetkit import Target, good

from bundler.config.project import Secret
from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = pytest.mark.e2e

# Leaves its environment, for comparison, and a file where no other service sees it.
SERVE = '#!/bin/sh\necho here >/tmp/mine\ncat /proc/self/environ >"$HOME/environ"\nwhile :; do sleep 1; done\n'
SHOW = r"""#!/bin/sh
case $1 in
    environment) exec cat /proc/self/environ ;;
    state) sed -n 's/^\(Uid\|NoNewPrivs\|Seccomp\|CapBnd\):\t\([0-9a-f]*\).*/\1 \2/p' /proc/self/status ;;
    place) pwd; umask; cat /tmp/mine "$TOKEN_FILE" "$CREDENTIALS_DIRECTORY/TOKEN"; echo >/opt/hello/x ;;
    words) shift; printf '<%s>' "$@" ;;
    copy) cat; echo to stderr >&2; exit 7 ;;
    terminal) [ -t 0 ] && [ -t 1 ] && tty; exit 5 ;;
    terminals) for fd in 0 1 2; do [ ! -t $fd ] || echo "$fd is one"; done; read -r line; echo "got <$line>"; exit 5 ;;
    wait) sleep 1000 ;;
esac
"""
TABLES = """
[secrets]
TOKEN = { delivery = "credential" }
[services.hello]
command = ["serve"]
profile = "generic"
environment = { NASTY = "it's \\"q\\" $HOME %n %% \\\\ end" }
working_directory = "{state}/desk"
memory_max = "1G"
cpu_quota = "80%"
tasks_max = 50
nofile = 4096
"""
DROP_IN = '[Service]\nEnvironment=DROPPED=%%-%n \\\n  "IN=x y"\nEnvironment=EMPTY=\n'
SPEC = Spec(
    tables=TABLES,
    serve=SERVE,
    config='QUOTED="a \\$b %n \\"q\\" \'x\'"\n',
    members=(Member(name="app/show", content=SHOW.encode(), mode=0o755),),
    secrets=(COOKIE, Secret(name="TOKEN", bytes=32, format="hex", delivery="credential")),
)
# What is each process's own.
OWN = {"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "PWD", "SHLVL", "_"}


@pytest.fixture(scope="module", params=["bullseye", "trixie", *everywhere("bookworm")])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Machine(rootfs(request.param, include=("busybox",))) as machine:
        machine.put("/etc/systemd/system/hello.service.d/more.conf", DROP_IN.encode())
        target = Target(machine, tmp_path_factory.mktemp("bundles"))
        good(target, SPEC)
        yield target


def run(target: Target, *words: str, stdin: bytes | None = None) -> Answer:
    return target.manage("exec", "hello", *words, stdin=stdin)


def variables(content: str) -> dict[str, str]:
    """Of /proc/PID/environ; the place of credentials has the unit's name in it."""
    found = dict(entry.split("=", 1) for entry in content.split("\0") if entry)
    for name in ("CREDENTIALS_DIRECTORY", "TOKEN_FILE"):
        unit = found[name].split("/")[3]
        found[name] = found[name].replace(unit, "UNIT")
    return {name: value for name, value in found.items() if name not in OWN}


def of_service(target: Target) -> dict[str, str]:
    return variables((target.machine.read("/var/lib/hello/environ") or b"").decode())


def test_it_gets_what_the_service_gets(target: Target) -> None:
    answer = run(target, "show", "environment")
    assert (answer.status, answer.stderr) == (0, "")
    found = variables(answer.stdout)
    assert found == of_service(target)
    assert (found["DROPPED"], found["IN"], found["EMPTY"]) == ("%-hello.service", "x y", "")
    assert found["NASTY"] == 'it\'s "q" $HOME %n %% \\ end'
    assert found["QUOTED"] == "a $b %n \"q\" 'x'"
    assert len(found["RELEASE_COOKIE"]) == 64


def test_it_is_where_the_service_is_and_as_confined(target: Target) -> None:
    answer = run(target, "show", "place")
    token = target.sh("cat /etc/hello/credentials/TOKEN")
    assert answer.stdout.split() == ["/var/lib/hello/desk", "0077", "here", token + token]
    assert (answer.status, "Read-only file system" in answer.stderr) == (2, True)
    state = dict(line.split() for line in run(target, "show", "state").stdout.splitlines())
    assert state == {"Uid": target.sh("id -u hello"), "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    assert target.sh("stat -c %U /run/hello") == "hello"  # the service's own, and it needs it still
    assert target.sh("systemctl is-active hello") == "active"


def test_words_input_outputs_and_status_are_passed_through(target: Target) -> None:
    words = ("$HOME", "${QUOTED}", "a b", "%n", "$$", "x\n", "", "-p", "--json", "é", "--", "*")
    assert run(target, "show", "words", *words).stdout == "".join(f"<{word}>" for word in words)
    answer = run(target, "--", "show", "copy", stdin=b"one\ntwo")
    assert (answer.status, answer.stdout, answer.stderr) == (7, "one\ntwo", "to stderr\n")
    assert target.sh("systemctl list-units --all --no-legend 'hello-exec*'") == ""


def test_on_a_terminal_it_has_one_of_its_own(target: Target) -> None:
    script = "tty; /opt/hello/manage exec hello show terminal; echo status $?"
    said = target.machine.run("script", "-qec", script, "/dev/null").stdout
    ours, its = re.findall(r"/dev/pts/\d+", said)
    assert ours != its
    assert "status 5" in said


def test_of_roots_terminal_it_has_nothing(target: Target) -> None:
    """With its output in a file, say: one that is open for reading can be written to as well."""
    for redirected in (">/root/out", "2>/root/err"):
        script = (
            f"echo typed | script -qec '/opt/hello/manage exec hello show terminals {redirected}' /root/said; echo $?"
        )
        said = target.sh(f"rm -f /root/out; {script}; cat /root/out 2>/dev/null || :")
        assert "is one" not in said
        assert ("got <typed>" in said, "5" in said.split()) == (True, True), said
    assert target.sh("ls -A /run/conda-bundler") in ("", "lock")


def test_no_secret_is_on_a_command_line(target: Target) -> None:
    script = "/opt/hello/manage exec hello /bin/sleep 3 & sleep 1; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; wait"
    seen = target.sh(script)
    assert "systemd-run" in seen
    assert "/bin/sleep 3" in seen
    cookie = target.sh("sed -n 's/^RELEASE_COOKIE=//p' /etc/hello/secrets.env")
    for secret in (cookie, target.sh("cat /etc/hello/credentials/TOKEN")):
        assert len(secret) == 64
        assert secret not in seen
        assert secret not in target.sh("journalctl --no-pager -a")


def test_a_signal_ends_the_command(target: Target) -> None:
    for signal, status in (("TERM", 143), ("INT", 130), ("HUP", 129)):
        # not started by the shell that is to be signalled: it would ignore SIGINT
        start = "systemd-run -q --unit=asked -p SuccessExitStatus=130 /bin/sh /opt/hello/manage exec hello show wait"
        target.sh(f"systemctl reset-failed; {start}; sleep 2")
        assert "hello-exec" in target.sh("systemctl list-units --no-legend 'hello-exec*'")
        target.sh(f"systemctl kill -s {signal} --kill-who=main asked; sleep 2")
        assert target.sh("systemctl list-units --no-legend 'hello-exec*'") == ""
        assert f"status={status}" in target.sh("journalctl -u asked -o cat | tail -n 5") or status == 130


def test_what_is_refused(target: Target) -> None:
    for words, sentence in (
        ((), "exec needs the name of a service"),
        (("hello",), "exec needs a command"),
        (("hello", "--"), "exec needs a command"),
        (("other", "show"), "hello has no service 'other'\n  It has: hello\n"),
        (("hello", "nothing"), "no program 'nothing' in the release's env/bin or app"),
    ):
        answer = target.manage("exec", *words)
        assert (answer.status, answer.stdout, sentence in answer.stderr) == (2, "", True), answer.stderr
    target.sh("printf 'action=install\\nto=9.9\\n' >/var/lib/conda-bundler/hello/transaction")
    try:
        pending = run(target, "show", "words")
        assert (pending.status, "a previous run was interrupted (install of 9.9)" in pending.stderr) == (
            10,
            True,
        )
        target.sh("mkdir -p /run/conda-bundler/work; systemd-run -q --unit=lock flock /run/conda-bundler/lock sleep 60")
        target.sh("sleep 0.5")
        busy = run(target, "show", "words")
        assert (busy.status, "another install is running" in busy.stderr) == (13, True)
    finally:
        target.sh("systemctl stop lock; rm -rf /run/conda-bundler/work /var/lib/conda-bundler/hello/transaction")


def test_a_service_that_is_stopped_or_masked_will_do(target: Target) -> None:
    target.sh("systemctl stop hello; systemctl mask -q hello")
    try:
        assert run(target, "show", "words", "x").stdout == "<x>"
    finally:
        target.sh("systemctl unmask -q hello; systemctl start hello")


# --- without systemd


@pytest.mark.parametrize("shell", ["/bin/busybox", *everywhere("/bin/dash", "/bin/bash")])
def test_without_systemd_it_gets_what_the_service_gets(tmp_path: Path, shell: str) -> None:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        target = Target(machine, tmp_path)
        good(target, SPEC, "--no-systemd")
        target.sh(f"ln -sf {shell} /bin/sh; setsid /opt/hello/bin/run-hello >/dev/null 2>&1 & sleep 2")
        stray = target.sh("STRAY=x TERM=y /opt/hello/manage exec hello show environment | tr '\\0' '\\001'")
        assert variables(stray.replace("\1", "\0")) == of_service(target)
        assert run(target, "show", "state").stdout.split()[1] == target.sh("id -u hello")
        words = ("$HOME", "a b", "x\n", "", "-p", "*")
        assert run(target, "show", "words", *words).stdout == "".join(f"<{word}>" for word in words)
        copied = run(target, "show", "copy", stdin=b"one\ntwo")
        assert (copied.status, copied.stdout, copied.stderr) == (7, "one\ntwo", "to stderr\n")
        script = "tty; /opt/hello/manage exec hello show terminal; echo status $?"
        said = machine.run("script", "-qec", script, "/dev/null").stdout
        ours, its = re.findall(r"/dev/pts/\d+", said)
        assert (ours != its, "status 5" in said) == (True, True), said
        # A signal reaches all of it, the sleep that its shell waits for as well.
        assert target.sh("timeout 2 /opt/hello/manage exec hello show wait; echo $?") == "124"
        assert "sleep 1000" not in target.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


# --- Python


def test_a_module_of_the_application(server: Machine) -> None:
    code = "import json, os, sys; print(json.dumps([sys.executable, os.getuid(), os.environ['PORT']]))"
    answer = server.run("/opt/hello/manage", "exec", "hello", "python", "-c", f"import hello; {code}")
    assert answer.status == 0, answer.stderr
    program, user, port = json.loads(answer.stdout)
    assert program == server.run("readlink", "-f", "/opt/hello/current").stdout.strip() + "/env/bin/python"
    assert (str(user), port) == (server.run("id", "-u", "hello").stdout.strip(), "8000")
    assert server.run("/opt/hello/manage", "exec", "hello", "python", "-m", "nothing").status == 1

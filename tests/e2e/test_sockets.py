"""Sockets that systemd opens for a service: who connects during an upgrade, what becomes of them, whose they are.

The programs are Perl, which the smallest Debian has; the units are those that a build makes.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest
from examplekit import exposure
from installkit import Member, Spec, but
from targetkit import Target, good
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = pytest.mark.e2e

# Answers with the path of its program, which names the release. It takes systemd's socket if there is one, else it
# opens a port itself; it is slow to start, and ends only between two answers.
SERVE = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET;
my ($port) = @ARGV;
my $end = 0;
$SIG{TERM} = sub { $end = 1 };
$SIG{PIPE} = "IGNORE";
select undef, undef, undef, 0.5;
my $server;
if (($ENV{LISTEN_PID} // 0) == $$) {
    die "sockets: $ENV{LISTEN_FDS}" if $ENV{LISTEN_FDS} != 1;
    open $server, "+<&=", 3 or die "3: $!";
} else {
    $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 9, ReuseAddr => 1)
        or die "$port: $!";
}
while (!$end) {
    accept my $link, $server or next;
    my $question = ""; # what is closed with something unread is reset
    1 while $question !~ /\r\n\r\n/ and sysread $link, $question, 1000, length $question;
    syswrite $link, "HTTP/1.0 200 OK\r\n\r\n$0\n";
    close $link;
}
"""
# Asks a Unix socket.
KNOCK = r"""#!/usr/bin/perl
use IO::Socket::UNIX;
my $link = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$ARGV[0]: $!";
print $link "GET /\r\n\r\n"; $link->flush;
exit(<$link> =~ / 200 / ? 0 : 1);
"""
SPEC = Spec(
    serve=SERVE,
    services=("web", "api"),
    members=(Member(name="app/knock", content=KNOCK.encode(), mode=0o755),),
    tables="""
[services.web]
command = ["serve", "80"]
socket = "127.0.0.1:80"
ports = [80]
health = { http = "http://127.0.0.1:80/", start_period = 1, timeout = 20 }
[services.api]
command = ["serve", "8100"]
socket = "{runtime}/api.sock"
socket_group = "www-data"
health = { command = ["knock", "{runtime}/api.sock"], start_period = 1, timeout = 20 }
""",
)
SECOND = but(SPEC, version="2.0")
ILL = but(SPEC, version="3.0", serve="#!/bin/sh\nexit 1\n")
MOVED = but(SPEC, version="4.0", tables=SPEC.tables.replace(":80", ":8080"))
PLAIN = but(SPEC, version="5.0", tables=SPEC.tables.replace('socket = "127.0.0.1:80"\n', ""))
LATER = but(PLAIN, version="6.0")
UNITS = "/usr/local/lib/systemd/system"
LEAST = 5000

# Asks again and again, each time at a new connection, until there is a file. Prints runs of the same end: the release
# that answered, or what went wrong; how often; when the first of them began and when the last one was over.
ASK = """
import json, pathlib, socket, sys, time
end, least, runs, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), [], 0
while count < least or not end.exists():
    count += 1
    begun = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", 80), 30) as link:
            link.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answer = b""
            while more := link.recv(1000):
                answer += more
            found = answer.split()[-1].decode().split("/")[4] if answer else "nothing"
    except OSError as error:
        found = type(error).__name__
    if not runs or runs[-1][0] != found:
        runs.append([found, 0, begun, 0])
    runs[-1][1] += 1
    runs[-1][3] = time.monotonic()
    if len(sys.argv) > 3:
        time.sleep(float(sys.argv[3]))
print(json.dumps(runs))
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        yield machine


@pytest.fixture
def target(machine: Machine, tmp_path: Path) -> Iterator[Target]:
    target = Target(machine, tmp_path)
    yield target
    target.sh("[ ! -e /opt/hello/manage ] || sh /opt/hello/manage uninstall --purge --yes; systemctl reset-failed")
    assert target.sh("systemctl list-units --plain --no-legend 'web*' 'api*' | cut -d' ' -f1") == ""
    assert target.sh("find /etc/systemd /usr/local -name 'web*' -o -name 'api*'") == ""


def state(target: Target, *units: str) -> list[str]:
    return target.machine.run("systemctl", "is-active", *units).stdout.split()


def shown(target: Target, unit: str, key: str) -> str:
    return target.sh(f"systemctl show -p {key} --value {unit}")


def answers(target: Target, port: int) -> bool:
    ask = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3"
    return target.machine.run("bash", "-c", ask).status == 0


class Run(NamedTuple):
    """Requests one after the other that all ended alike: answered by a release, or with an error's name."""

    end: str
    times: int
    first: float
    last: float


def asked_during(target: Target, spec: Spec, *pause: str) -> tuple[Answer, list[Run]]:
    """The answer of an installation, and what became of the requests meanwhile, each ``pause`` after the one before."""
    end, found = target.room / "end", []
    end.unlink(missing_ok=True)
    words = (sys.executable, "-c", ASK, str(end), str(LEAST), *pause)
    asking = threading.Thread(target=lambda: found.append(target.machine.run_on_its_network(*words, timeout=300)))
    target.bring(spec)
    asking.start()
    try:
        installed = target.install(spec)
    finally:
        end.touch()
        asking.join()
    return installed, [Run(*run) for run in json.loads(found[0].stdout)]


def ends(runs: Iterable[Run]) -> set[str]:
    return {run.end for run in runs}


def test_nobody_is_refused_while_the_release_changes(target: Target) -> None:
    good(target, SPEC)
    opened = shown(target, "web.socket", "ActiveEnterTimestampMonotonic")
    installed, found = asked_during(target, SECOND)
    assert installed.status == 0, installed.stderr
    assert ends(found) == {SPEC.release, SECOND.release}, found
    assert sum(run.times for run in found) >= LEAST, found

    failed, found = asked_during(target, ILL)  # and while it goes back
    assert failed.status == 14, failed.stderr
    assert ends(found) == {SECOND.release}, found
    assert shown(target, "web.socket", "ActiveEnterTimestampMonotonic") == opened
    assert target.status()["healthy"]

    assert exposure(target.machine, "web") <= 1.5
    rights = target.sh(f"grep ^Cap /proc/{shown(target, 'web', 'MainPID')}/status")
    assert {int(line.split()[1], 16) for line in rights.splitlines()} == {0}  # for port 80
    units = target.sh(f"ls {UNITS}").split()
    verified = target.machine.run("systemd-analyze", "verify", *units)
    assert (verified.status, verified.stdout + verified.stderr) == (0, "")


def test_no_user_gets_the_port_of_a_socket_while_the_release_changes(target: Target) -> None:
    good(target, MOVED)
    take = "while :; do echo >>/tmp/tries; busybox httpd -f -p 127.0.0.1:8080; done"
    target.sh(f"systemd-run -q --unit=stranger --uid=nobody sh -c '{take}'")
    try:
        good(target, but(MOVED, version="7.0"))
        assert target.install(but(ILL, tables=MOVED.tables)).status == 14
        good(target, but(MOVED, version="8.0"))
        assert target.status()["healthy"]
        assert int(target.sh("wc -l </tmp/tries")) > 100
    finally:
        target.sh("systemctl stop stranger")


def test_without_a_socket_requests_are_refused_once_and_only_while_it_restarts(
    target: Target, record_property: Callable[[str, object], None]
) -> None:
    """The figures in docs/reference/services.md; ``--junitxml FILE`` writes them down."""
    good(target, PLAIN)
    installed, found = asked_during(target, LATER, "0.001")
    assert installed.status == 0, installed.stderr
    refused = [run for run in found if run.end not in (PLAIN.release, LATER.release)]
    assert ends(refused) <= {"ConnectionRefusedError", "ConnectionResetError", "nothing"}, found
    assert [run.end for run in found if run not in refused] == [PLAIN.release, LATER.release], found
    lost, asked = sum(run.times for run in refused), sum(run.times for run in found)
    assert 0 < lost < asked >= LEAST, found
    record_property("requests", asked)
    record_property("refused", lost)
    record_property("seconds without an answer", round(refused[-1].last - refused[0].first, 2))


def test_a_path_is_its_groups_and_root_follows_no_link_there(target: Target) -> None:
    good(target, SPEC)
    assert target.sh("stat -c '%U %G %a %F' /run/api/api.sock") == "hello www-data 660 socket"
    assert target.sh("stat -c '%U %G %a' /run/api") == "hello hello 755"
    target.sh("systemctl restart api")
    assert target.sh("stat -c '%U %G %a %F' /run/api/api.sock") == "hello www-data 660 socket"
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(f"/proc/{target.machine.leader}/root/run/api/api.sock")
    target.sh("systemctl stop api api.socket; [ ! -e /run/api/api.sock ]")
    shadow = target.sh("stat -c '%U %G %a' /etc/shadow")
    lure = "while :; do ln -sf /etc/shadow /run/api/api.sock; done"
    target.sh(f"systemd-run -q --unit=lure -p User=hello sh -c '{lure}'")
    for _ in range(5):
        target.machine.run("systemctl", "restart", "api.socket")
    target.sh("systemctl stop lure")
    assert target.sh("stat -c '%U %G %a' /etc/shadow") == shadow


def test_a_socket_moves_goes_and_comes_with_its_service(target: Target) -> None:
    good(target, but(PLAIN, version="0.9"))  # web has the port itself
    good(target, SPEC)
    assert state(target, "web.socket", "web") == ["active", "active"]
    assert answers(target, 80)
    api = shown(target, "api.socket", "ActiveEnterTimestampMonotonic")
    planned = target.install(MOVED, "--dry-run").stdout
    assert "would restart web.service with web.socket and wait" in planned
    assert "would restart api.service, api.socket staying open, and wait" in planned
    good(target, MOVED)
    assert (answers(target, 80), answers(target, 8080)) == (False, True)
    assert shown(target, "api.socket", "ActiveEnterTimestampMonotonic") == api

    good(target, PLAIN)
    assert state(target, "web.socket", "web", "api.socket") == ["inactive", "active", "active"]
    assert (answers(target, 80), answers(target, 8080)) == (True, False)
    assert target.sh(f"ls {UNITS} | grep web.socket || :") == ""

    for release, port in ((MOVED.release, 8080), (SPEC.release, 80)):
        back = target.manage("rollback", release)
        assert back.status == 0, back.stderr
        assert state(target, "web.socket", "web") == ["active", "active"]
        assert (answers(target, 80), answers(target, 8080)) == (port == 80, port == 8080)
    assert target.install(ILL).status == 14
    failed = target.install(but(PLAIN, version="6.0", serve=ILL.serve))
    assert failed.status == 14, failed.stderr
    assert state(target, "web.socket", "web") == ["active", "active"]
    assert answers(target, 80)
    fewer = but(PLAIN, version="7.0", services=("api",), tables=SPEC.tables[SPEC.tables.index("[services.api]") :])
    good(target, fewer)
    assert state(target, "web.socket", "web") == ["inactive", "inactive"]


def test_what_the_admin_stopped_is_opened_by_nobody(target: Target) -> None:
    good(target, PLAIN)
    target.sh("systemctl stop web; systemctl disable web; systemctl stop api.socket; systemctl disable api.socket")
    assert state(target, "api") == ["inactive"]  # it requires its socket
    for step in (SPEC, SECOND, MOVED):
        installed = target.install(step)
        assert installed.status == 0, installed.stderr
        assert state(target, "web.socket", "web", "api.socket", "api") == ["inactive"] * 4
        enabled = target.machine.run("systemctl", "is-enabled", "web.socket", "web", "api.socket", "api").stdout.split()
        assert enabled == ["disabled", "disabled", "disabled", "enabled"]
    target.sh("systemctl start web.socket")
    told = target.manage("status").stdout
    assert "web.service is stopped, but the next connection to web.socket starts it" in told
    good(target, SPEC)
    assert state(target, "web.socket", "web") == ["active", "inactive"]
    assert answers(target, 80)
    assert state(target, "web.socket", "web") == ["active", "active"]


def test_an_uninstall_leaves_nothing_in_run_and_keeps_the_state(target: Target) -> None:
    good(target, SPEC)
    target.sh("touch /run/api/more; echo x >/var/lib/hello/kept; mkdir /run/apiary")
    assert target.manage("uninstall").status == 0
    assert target.sh("ls -d /run/web* /run/api* 2>/dev/null || :") == "/run/apiary"
    assert target.sh("cat /var/lib/hello/kept; rmdir /run/apiary") == "x"
    good(target, SPEC)


def test_overrides_of_a_socket_reach_the_kernel(target: Target) -> None:
    lines = "[services.web.unit.Socket]\nBacklog = 7\nKeepAlive = true\n"
    good(target, SPEC)
    good(target, but(SECOND, tables=SPEC.tables + lines))  # its section has changed: it is opened anew
    assert shown(target, "web.socket", "Backlog") == "7"
    assert target.sh("systemctl show -p KeepAlive --value web.socket") == "yes"
    assert answers(target, 80)
    verified = target.machine.run("systemd-analyze", "verify", f"{UNITS}/web.socket")
    assert (verified.status, verified.stdout + verified.stderr) == (0, "")
    good(target, SPEC)
    assert shown(target, "web.socket", "Backlog") == "4096"


def test_who_else_has_the_address(target: Target) -> None:
    target.sh("systemd-run -q --unit=other --socket-property=ListenStream=127.0.0.1:80 true")
    refused = target.install(SPEC)
    assert refused.status == 10, refused.stderr
    assert (
        "the port 80 of web.service is already in use (process 1 of uid 0, systemd: see systemctl list-sockets)"
        in refused.stderr
    )
    target.sh("systemctl stop other.socket")
    bare = target.install(SPEC, "--no-systemd")
    assert bare.status == 10, bare.stderr
    assert "web.service needs a socket from systemd" in bare.stderr
    nobody = target.install(but(SPEC, tables=SPEC.tables.replace("www-data", "no-such-group")))
    assert nobody.status == 10, nobody.stderr
    assert "there is no group 'no-such-group'" in nobody.stderr


def test_a_first_install_that_is_ill_leaves_nothing_open(target: Target) -> None:
    ill = target.install(ILL)
    assert ill.status == 15, ill.stderr
    assert state(target, "web.socket", "api.socket") == ["inactive", "inactive"]
    good(target, but(SPEC, version="3.1"))
    assert state(target, "web.socket", "web", "api.socket", "api") == ["active"] * 4


@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_on_other_systems(tmp_path: Path, suite: str) -> None:
    with Machine(rootfs(suite)) as machine:
        target = Target(machine, tmp_path)
        good(target, SPEC)
        opened = shown(target, "web.socket", "ActiveEnterTimestampMonotonic")
        good(target, SECOND)
        assert shown(target, "web.socket", "ActiveEnterTimestampMonotonic") == opened
        assert target.sh("stat -c '%U %G %a %F' /run/api/api.sock") == "hello www-data 660 socket"
        units = target.sh(f"ls {UNITS}").split()
        verified = machine.run("systemd-analyze", "verify", *units)
        assert (verified.status, verified.stdout + verified.stderr) == (0, "")
        good(target, MOVED)
        machine.reboot()
        assert until(lambda: target.status()["healthy"])
        assert (answers(target, 80), answers(target, 8080)) == (False, True)
        assert target.manage("uninstall", "--purge", "--yes").status == 0
        assert not answers(target, 8080)

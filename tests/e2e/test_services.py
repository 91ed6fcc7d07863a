"""Services as bundle.toml describes them, on systemd 247, 252 and 257: what they get, what watches and ends them.

The programs are Perl, which the smallest Debian has; the units are those that a build makes.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from everywhere import everywhere
from examplekit import exposure
from installkit import COOKIE, Member, Spec, but
from targetkit import Target
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

# Answers over HTTP until a file says "mute", dies when one says so, and tells systemd that it is ready and alive.
SERVE = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET; use IO::Socket::UNIX; use Socket;
my ($port, $name) = @ARGV;
my $state = "/var/lib/hello";
exit 3 if -e "$state/die-$name";
sub tell_systemd {
    my $path = $ENV{NOTIFY_SOCKET} or return;
    $path =~ s/^@/\0/;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $path) or die "notify: $!";
    $socket->send($_[0]);
}
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 9, ReuseAddr => 1)
    or die "$port: $!";
$server->timeout(1);
$SIG{PIPE} = "IGNORE";
$SIG{USR1} = sub { close $server; sleep 1 while 1 };
tell_systemd("READY=1");
my @kept;
while (1) {
    my $link = $server->accept;
    tell_systemd("WATCHDOG=1") unless -e "$state/mute-$name";
    next unless $link;
    if (-e "$state/mute-$name") { push @kept, $link; next }
    my $question = ""; # what is closed with something unread is reset
    1 while $question !~ /\r\n\r\n/ and sysread($link, $question, 1000, length $question);
    print $link "HTTP/1.0 200 OK\r\n\r\nall is well with $name\n";
    close $link;
}
"""
CHECK = '#!/bin/sh\n[ "$NAME" = asked ] && [ -w "$HOME" ] && [ ! -e "$HOME/mute-asked" ]\n'
JOB = '#!/bin/sh\necho "$NAME" >>"$HOME/jobs"\n'
MIGRATE = '#!/bin/sh\n[ -n "$RELEASE_COOKIE" ] && [ -d "$STATE_DIRECTORY/more" ] && echo "$2 $PORT" >"$1"\n'
TABLES = """
[services.web]
command = ["serve", "80", "web"]
profile = "generic"
ports = [80]
secrets = []
working_directory = "{state}/desk"
restart_delay = 1
start_limit = 3
tasks_max = 50
nofile = 4096
[services.web.health]
http = "http://127.0.0.1/"
status = [200, 204]
body = "all is well with web"
start_period = 1
interval = 5
failures = 2
probe_timeout = 3

[services.told]
command = ["serve", "8001", "told"]
type = "notify"
watchdog = 4
restart_delay = 1
after = ["web"]
health = { notify = true, start_period = 1 }

[services.asked]
command = ["serve", "8002", "asked"]
environment = { NAME = "asked" }
profile = "beam"
requires = ["web"]
health = { command = ["check"], start_period = 1, interval = 5, failures = 0 }

[services.knocked]
command = ["serve", "8003", "knocked"]
wants = ["told"]
[services.knocked.health]
tcp = "127.0.0.1:8003"
start_period = 1
interval = 5
failures = 1
probe_timeout = 3
restarts_per_hour = 1
[services.knocked.unit.Unit]
After = "time-sync.target"
[services.knocked.unit.Service]
EnvironmentFile = "-/etc/extra.env"
ExecStartPre = ["{app}/migrate {state}/schema ${EXTRA}", "-false"]
StateDirectory = "hello/more"
SystemCallFilter = "~@clock"
OOMPolicy = "stop"

[services.nightly]
command = ["job"]
environment = { NAME = "nightly" }
schedule = { on_calendar = ["*:*:0/5", "yearly"] }
unit = { Timer = { AccuracySec = "1" } }
"""
SPEC = Spec(
    serve=SERVE,
    tables=TABLES,
    services=("web", "told", "asked", "knocked"),
    members=(
        Member(name="app/check", content=CHECK.encode(), mode=0o755),
        Member(name="app/migrate", content=MIGRATE.encode(), mode=0o755),
        Member(name="app/job", content=JOB.encode(), mode=0o755),
    ),
)

NODES = but(
    SPEC,
    name="nodes",
    secrets=(replace(COOKIE, delivery="credential"),),
    services=("node",),
    tables="""
[secrets]
RELEASE_COOKIE = { delivery = "credential" }
[erlang]
distribution = "name"
[services.node]
command = ["serve", "8010", "node"]
profile = "beam"
health = { tcp = "127.0.0.1:8010" }
[services.node-nightly]
command = ["job"]
profile = "beam"
schedule = { on_calendar = "daily" }
""",
)


@pytest.fixture(scope="module", params=["bullseye", "trixie", *everywhere("bookworm")])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The bundle installed on each system; a test leaves it as it was."""
    with Machine(rootfs(request.param)) as machine:
        target = Target(machine, tmp_path_factory.mktemp("bundles"))
        installed = target.install(SPEC)
        assert installed.status == 0, installed.stderr
        yield target


@pytest.fixture(scope="module")
def bookworm_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Machine(rootfs("bookworm")) as machine:
        yield Target(machine, tmp_path_factory.mktemp("bundles"))


def pid(target: Target, name: str) -> str:
    return target.sh(f"systemctl show -p MainPID --value {name}")


def state(target: Target, unit: str) -> str:
    return target.machine.run("systemctl", "is-active", unit).stdout.strip()


def answers(target: Target, port: int) -> bool:
    ask = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q 'all is well' <&3"
    return target.machine.run("bash", "-c", ask).status == 0


def environment(target: Target, name: str) -> dict[str, str]:
    text = target.sh(f"tr '\\0' '\\n' </proc/{pid(target, name)}/environ")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_every_kind_is_well(target: Target) -> None:
    status: dict[str, Any] = {}

    def well() -> bool:
        status.update(target.status())
        return bool(status["healthy"])

    assert until(well), status
    healths = {unit["unit"]: (unit["active"], unit["health"]) for unit in status["units"]}
    assert healths.pop("nightly.service")[0] in ("inactive", "activating")
    assert healths == {
        "asked.service": ("active", "good"),
        "knocked.service": ("active", "good"),
        "told.service": ("active", "unknown"),
        "web.service": ("active", "good"),
    }


def check_units(target: Target, wanted: set[str]) -> None:
    """All units on the machine, of which ``wanted`` are some, without a line of complaint."""
    units = target.sh("ls /usr/local/lib/systemd/system").split()
    assert wanted <= set(units)
    verified = target.machine.run("systemd-analyze", "verify", *units)
    assert (verified.status, verified.stdout + verified.stderr) == (0, "")


def test_the_units_are_clean_and_the_exposure_is_low(target: Target) -> None:
    check_units(target, {"web.service", "web-health.timer", "web-watch.service", "nightly.service", "nightly.timer"})
    exposures = {name: exposure(target.machine, name) for name in ("told", "asked")}  # profile python, profile beam
    assert max(exposures.values()) <= 1.5, exposures


def test_overrides_are_added_to_what_the_service_has(target: Target) -> None:
    target.sh("printf 'EXTRA=3\\nPORT=1\\n' >/etc/extra.env; echo PORT=2 >>/etc/hello/hello.env")
    try:
        target.sh("systemctl restart knocked")
        assert target.sh("cat /var/lib/hello/schema") == "3 2"  # the operator's own file has the last word
        assert environment(target, "knocked")["EXTRA"] == "3"
        shown = target.sh("systemctl show -p After,OOMPolicy knocked")
        assert {"network.target", "told.service", "time-sync.target"} <= set(shown.replace("=", " ").split())
        assert "OOMPolicy=stop" in shown
    finally:
        target.sh("rm /etc/extra.env; sed -i '/^PORT=2$/d' /etc/hello/hello.env; systemctl restart knocked")


def test_so_are_those_of_nodes_that_meet_and_get_their_cookie_in_a_file(target: Target) -> None:
    installed = target.install(NODES, "--no-start")
    assert installed.status == 0, installed.stderr
    try:
        check_units(target, {"node.service", "node-watch.service", "node-nightly.service", "node-nightly.timer"})
        text = target.sh("systemctl cat node node-nightly")
        assert text.count("LoadCredential=RELEASE_COOKIE:") == 2
        exposures = {name: exposure(target.machine, name) for name in ("node", "node-nightly")}
        assert max(exposures.values()) <= 1.5, exposures
    finally:
        gone = target.manage("uninstall", "--purge", "--yes", name=NODES.name)
    assert gone.status == 0, gone.stderr


def test_a_low_port_is_bound_by_nobody_special(target: Target) -> None:
    status = target.sh(f"cat /proc/{pid(target, 'web')}/status")
    rights = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith(("Cap", "Uid", "NoNewPrivs")))
    bind_service = "0000000000000400"
    assert {rights[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {bind_service}
    assert rights["Uid"].split("\t") == [target.sh("id -u hello")] * 4
    others = target.sh(f"sed -n 's/^CapBnd:.//p' /proc/{pid(target, 'told')}/status")
    assert int(others, 16) == 0


def test_what_stopped_answering_is_restarted_with_who_requires_it(target: Target) -> None:
    before = {name: pid(target, name) for name in ("web", "asked", "told")}
    target.sh("touch /var/lib/hello/mute-web")
    assert until(lambda: pid(target, "web") not in (before["web"], "0"))
    target.sh("rm /var/lib/hello/mute-web")
    assert until(lambda: pid(target, "asked") not in (before["asked"], "0"))
    assert pid(target, "told") == before["told"]
    said = target.sh("journalctl -u web-watch -o cat --no-pager")
    assert "web.service failed its health check 2 times in a row; restarting it" in said
    # systemd 247 does not apply a unit's LogLevelMax= to what it says of the unit itself
    assert target.machine.systemd_version < 248 or "Starting" not in said
    assert until(lambda: target.status()["healthy"])


def test_a_job_runs_when_it_is_time(target: Target) -> None:
    runs = target.sh("wc -l </var/lib/hello/jobs")
    assert until(lambda: int(target.sh("wc -l </var/lib/hello/jobs")) > int(runs))
    assert set(target.sh("cat /var/lib/hello/jobs").split()) == {"nightly"}
    timer = target.sh("systemctl show -p Persistent,TimersCalendar nightly.timer")
    assert "Persistent=yes" in timer
    assert "*-01-01 00:00:00" in timer


# --- on one system


@pytest.fixture(scope="module")
def one(bookworm_target: Target) -> Target:
    installed = bookworm_target.install(SPEC)
    assert installed.status == 0, installed.stderr
    return bookworm_target


def test_limits_directories_and_order(one: Target) -> None:
    shown = dict(
        line.split("=", 1)
        for line in one.sh("systemctl show -p TasksMax,LimitNOFILE,WorkingDirectory,PrivateUsers web").splitlines()
    )
    assert shown == {
        "TasksMax": "50",
        "LimitNOFILE": "4096",
        "WorkingDirectory": "!/var/lib/hello/desk",  # which need not be there: the service makes it
        "PrivateUsers": "no",
    }
    assert environment(one, "web")["STATE_DIRECTORY"] == "/var/lib/hello"
    assert one.sh("stat -c %U /var/lib/hello/desk") == "hello"
    assert "web.service" in one.sh("systemctl show -p After --value told")


def test_a_service_gets_the_secrets_that_it_is_to_have(one: Target) -> None:
    assert "RELEASE_COOKIE" not in environment(one, "web")
    assert len(environment(one, "told")["RELEASE_COOKIE"]) == 64


def test_what_the_admin_stopped_stays_stopped(one: Target) -> None:
    one.sh("touch /var/lib/hello/mute-web; sleep 2; systemctl stop web")
    try:
        assert not until(lambda: state(one, "web") == "active", 16)
        assert state(one, "web-health.timer") == "inactive"
        one.sh("systemctl start web-watch.service")  # one that was on its way
        assert state(one, "web") == "inactive"
    finally:
        one.sh("rm -f /var/lib/hello/mute-web; systemctl start web asked")
    assert state(one, "web-health.timer") == "active"


def test_the_watch_wakes_nobody_whom_the_admin_has_put_to_sleep(one: Target) -> None:
    """knocked wants told; a plain restart of knocked would start told as well. Its budget is one restart an hour."""
    before = pid(one, "knocked")
    one.sh("systemctl stop told")
    # It lives and has its port no more: nothing that systemd would see.
    one.sh("systemctl kill -s USR1 knocked")
    assert until(lambda: pid(one, "knocked") not in (before, "0"))
    assert state(one, "told") == "inactive"
    assert until(lambda: answers(one, 8003))
    again = pid(one, "knocked")
    one.sh("systemctl kill -s USR1 knocked")
    assert until(lambda: state(one, "knocked-watch") == "failed")
    assert pid(one, "knocked") == again
    assert "is left alone" in one.sh("journalctl -u knocked-watch -o cat --no-pager")
    one.sh("rm /run/conda-bundler/knocked.watch; systemctl reset-failed; systemctl restart knocked told")


def test_it_stands_still_while_an_install_runs(one: Target) -> None:
    before = pid(one, "web")
    one.sh("touch /var/lib/hello/mute-web")
    one.sh("mkdir -p /run/conda-bundler/work; systemd-run -q --unit=holder flock /run/conda-bundler/lock sleep 100")
    try:
        time.sleep(16)
        assert pid(one, "web") == before
        one.sh("systemctl stop holder; touch /var/lib/conda-bundler/hello/transaction")
        time.sleep(12)
        assert pid(one, "web") == before
        one.sh("rm /var/lib/conda-bundler/hello/transaction")  # the scratch directory of the dead one is still there
        assert until(lambda: pid(one, "web") not in (before, "0"))
    finally:
        one.sh("rm -rf /run/conda-bundler/work /var/lib/hello/mute-web; systemctl restart web")


def test_what_exits_at_once_ends_as_failed(one: Target) -> None:
    assert until(lambda: answers(one, 80))  # one that is only on its way would find the file, too, and be counted
    one.sh("touch /var/lib/hello/die-web; systemctl reset-failed web")  # its earlier starts do not count
    try:
        one.machine.run("systemctl", "restart", "web")
        assert until(lambda: state(one, "web") == "failed")
        assert one.sh("systemctl show -p NRestarts --value web") == "3"
    finally:
        one.sh("rm /var/lib/hello/die-web; systemctl reset-failed; systemctl start web asked")


def test_what_needs_something_that_comes_late_comes_back_by_itself(one: Target) -> None:
    """As after a power cut: not while an administrator has stopped it, and without its being told."""
    one.sh("touch /var/lib/hello/die-web; systemctl reset-failed; systemctl start asked knocked")
    try:
        one.machine.run("systemctl", "restart", "web")
        assert until(lambda: state(one, "web") == "failed")
        assert state(one, "web-watch") == "activating"  # it waits
        one.sh("systemctl stop web; systemctl start --no-block web-watch")
        assert not until(lambda: state(one, "web") != "failed", 25)
        one.machine.run("systemctl", "restart", "web")  # fails for good again
        assert until(lambda: state(one, "web") == "failed")
        one.sh("rm /var/lib/hello/die-web")
        assert until(lambda: state(one, "web") == "active")
        assert until(lambda: state(one, "asked") == "active")
        assert "web.service failed; starting it again after" in one.sh("journalctl -u web-watch -o cat --no-pager")
    finally:
        one.sh("rm -f /var/lib/hello/die-web; systemctl reset-failed; systemctl start web asked")


def test_a_watchdog_that_is_not_fed_restarts(one: Target) -> None:
    before = pid(one, "told")
    one.sh("touch /var/lib/hello/mute-told")
    assert until(lambda: pid(one, "told") not in (before, "0"))
    one.sh("rm /var/lib/hello/mute-told")
    assert until(lambda: state(one, "told") == "active")


def test_after_a_reboot_all_of_it_is_there(one: Target) -> None:
    one.machine.reboot()
    assert until(lambda: one.status()["healthy"]), one.status()
    assert state(one, "web-health.timer") == state(one, "nightly.timer") == "active"


def test_a_missing_program_fails_the_install_with_its_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    spec = but(SPEC, tables='[services.hello]\ncommand = ["/usr/bin/not-here"]\n', members=())
    with Machine(rootfs("bookworm")) as machine:
        target = Target(machine, tmp_path_factory.mktemp("bundles"))
        refused = target.install(spec)
        assert refused.status == 15, refused.stderr
        assert "hello.service is not healthy: it did not start" in refused.stderr
        assert "not-here" in refused.stderr
        assert json.loads(target.manage("status", "--json").stdout or "{}").get("healthy") is not True


def test_without_user_namespaces_no_unit_asks_for_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    spec = but(
        SPEC, tables='[services.hello]\ncommand = ["serve", "8001", "hello"]\nhealth = { tcp = "127.0.0.1:8001" }\n'
    )
    with Machine(rootfs("bookworm")) as machine:
        target = Target(machine, tmp_path_factory.mktemp("bundles"))
        target.sh("echo 0 >/srv/none; mount --bind /srv/none /proc/sys/user/max_user_namespaces")
        installed = target.install(spec)
        assert installed.status == 0, installed.stderr
        assert target.sh("systemctl show -p PrivateUsers --value hello hello-health").split() == ["no", "no"]
        assert target.install(spec).stderr.endswith("is already installed; nothing changed\n")
        assert target.manage("verify").status == 0
        assert target.manage("uninstall", "--purge", "--yes").status == 0
        assert target.sh("find /etc/systemd /usr/local -name '*hello*'") == ""

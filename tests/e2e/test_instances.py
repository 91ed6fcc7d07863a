"""Services with instances, and reloads, on real machines: one target, each instance by itself, what the admin wanted.

The program is Perl, which the smallest Debian has; the units are those that a build makes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from examplekit import exposure
from installkit import COOKIE, Spec, but
from targetkit import Target, good
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

# Answers over HTTP with what it has from its environment; SIGHUP has it count, a file has it answer badly or die.
SERVE = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET;
my ($port, $name) = @ARGV;
my ($state, $reloads) = ("/var/lib/hello", 0);
$SIG{HUP} = sub { $reloads++ } if $name ne "deaf";
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 9, ReuseAddr => 1)
    or die "$port: $!";
$server->timeout(1);
open(my $log, ">>", "$state/starts-$name") or die $!; print $log "$$\n"; close $log;
open(my $key, "<", $ENV{KEY_FILE} // "/dev/null"); my $secret = <$key> // "none\n"; chomp $secret;
while (1) {
    die "told to\n" if -e "$state/die-$name";
    my $link = $server->accept or next;
    my $question = ""; # what is closed with something unread is reset
    1 while $question !~ /\r\n\r\n/ and sysread($link, $question, 1000, length $question);
    my $code = -e "$state/ill-$name" ? 500 : 200;
    print $link "HTTP/1.0 $code OK\r\n\r\n$name $ENV{INSTANCE} $ENV{DIR} $reloads ", length $secret, "\n";
    close $link;
}
"""
WORKER = """
[secrets]
KEY = { delivery = "credential" }
[services.worker]
command = ["serve", "${PORT}{instance}", "worker-{instance}"]
environment = { DIR = "{state}/{instance}" }
profile = "python"
working_directory = "{state}/{instance}"
instances = INSTANCES
reload = "SIGHUP"
restart_delay = 1
start_limit = 3
health = { http = "http://127.0.0.1:${PORT}{instance}/", start_period = 1, timeout = 60, interval = 5, failures = 2 }
"""
DEAF = """
[services.deaf]
command = ["serve", "8001", "deaf"]
environment = { DIR = "none" }
reload = ["/bin/true"]
[services.plain]
command = ["serve", "8002", "plain"]
wants = ["worker"]
"""
SECRETS = (replace(COOKIE, name="KEY", bytes=16, delivery="credential"),)


def spec(instances: int, version: str = "1.0", more: str = "") -> Spec:
    """A bundle of so many workers, which listen at 9001 and so on."""
    return Spec(
        version=version,
        serve=SERVE,
        config='PORT="900"\n',
        tables=WORKER.replace("INSTANCES", str(instances)) + more,
        secrets=SECRETS,
        services=tuple(f"worker@{number}" for number in range(1, instances + 1)),
    )


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm")) as found:
        yield found


@pytest.fixture
def target(machine: Machine, tmp_path: Path) -> Iterator[Target]:
    found = Target(machine, tmp_path)
    yield found
    found.sh("[ ! -e /opt/hello/manage ] || sh /opt/hello/manage uninstall --purge --yes 2>&1")


def answer(target: Target, number: int) -> list[str]:
    """What an instance says: its name, number, directory, how often it was reloaded, its secret's length."""
    client = 'exec 3<>/dev/tcp/127.0.0.1/900$1; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; tail -n 1 <&3'
    return target.machine.run("bash", "-c", client, "sh", str(number), check=True).stdout.split()


def states(target: Target, count: int) -> dict[str, str]:
    """Unit -> "enabled active", of the target and ``count`` instances."""
    units = ["worker.target", *(f"worker@{number}.service" for number in range(1, count + 1))]
    found = {}
    for unit in units:
        enabled = target.machine.run("systemctl", "is-enabled", unit).stdout.strip()
        found[unit.split(".")[0] if "@" in unit else unit] = (
            f"{enabled} {target.machine.run('systemctl', 'is-active', unit).stdout.strip()}"
        )
    return found


def pids(target: Target, count: int) -> list[str]:
    units = [f"worker@{number}.service" for number in range(1, count + 1)]
    return target.sh(f"systemctl show -p MainPID --value {' '.join(units)}").split()


UP = "enabled active"
OFF = "disabled inactive"


def test_each_instance_is_a_service_of_its_own_and_the_target_is_all_of_them(target: Target) -> None:
    good(target, spec(3))
    assert states(target, 3) == {"worker.target": UP, "worker@1": UP, "worker@2": UP, "worker@3": UP}
    said = [answer(target, number) for number in (1, 2, 3)]
    assert said == [[f"worker-{number}", str(number), f"/var/lib/hello/{number}", "0", "32"] for number in (1, 2, 3)]
    status = target.status()
    assert [unit["unit"] for unit in status["units"]] == [f"worker@{number}.service" for number in (1, 2, 3)]
    assert [unit["health"] for unit in status["units"]] == ["good"] * 3
    assert "worker@3.service: active, enabled, health good" in target.manage("status").stdout
    assert exposure(target.machine, "worker@2") <= 1.5
    verified = target.machine.run("systemd-analyze", "verify", "worker@1.service", "worker.target")
    assert (verified.status, verified.stderr) == (0, ""), verified.stderr

    before = pids(target, 3)
    again = target.install(spec(3))
    assert "nothing changed" in again.stderr
    assert pids(target, 3) == before
    target.sh("systemctl restart worker.target")
    assert until(lambda: set(pids(target, 3)).isdisjoint({*before, "0"}))
    target.sh("systemctl stop worker.target")
    assert set(states(target, 3).values()) == {"enabled inactive"}
    assert target.sh("ls -d /run/worker")
    target.sh("systemctl start worker.target")
    assert until(lambda: states(target, 3) == {"worker.target": UP, "worker@1": UP, "worker@2": UP, "worker@3": UP})
    timers = [f"worker-health@{number}.timer" for number in (1, 2, 3)]
    assert target.sh(f"systemctl is-active {' '.join(timers)}").split() == ["active"] * 3


def test_an_upgrade_restarts_each_once_and_keeps_what_the_admin_wanted(target: Target) -> None:
    good(target, spec(4))
    target.sh("systemctl stop worker@2; systemctl disable --now worker@3")
    wanted = {"worker.target": UP, "worker@1": UP, "worker@2": "enabled inactive", "worker@3": OFF, "worker@4": UP}
    assert states(target, 4) == wanted
    target.sh("rm /var/lib/hello/starts-*")
    good(target, spec(4, "2.0", DEAF))
    assert states(target, 4) == wanted
    assert target.sh("wc -l </var/lib/hello/starts-worker-1; ls /var/lib/hello/starts-worker-*").split() == [
        "1",
        "/var/lib/hello/starts-worker-1",
        "/var/lib/hello/starts-worker-4",
    ]

    ill = but(spec(5, "3.0"), serve=SERVE.replace("? 500 : 200", "? 500 : 501"))
    failed = target.install(ill, "--health-timeout", "8")
    assert failed.status == 14, failed.stderr
    assert states(target, 5) == {**wanted, "worker@5": OFF}
    assert target.sh("ls /etc/systemd/system/worker.target.wants").split() == [
        f"worker@{number}.service" for number in (1, 2, 4)
    ]
    assert target.manage("rollback").status == 0
    assert states(target, 4) == wanted


def test_there_may_be_more_of_them_or_fewer_and_one_service_may_become_several(target: Target) -> None:
    single = spec(1, "0.9")
    single = but(
        single,
        tables=single.tables.replace("instances = 1\n", "").replace("{instance}", "1").replace("${PORT}1", "9001"),
    )
    good(target, single)
    good(target, spec(2))
    assert states(target, 2) == {"worker.target": UP, "worker@1": UP, "worker@2": UP}
    assert target.machine.run("systemctl", "cat", "worker.service").status != 0
    good(target, spec(4, "2.0"))
    assert states(target, 4) == {"worker.target": UP} | {f"worker@{number}": UP for number in (1, 2, 3, 4)}
    target.sh("systemctl disable --now worker@4")
    planned = target.machine.run("sh", target.bring(spec(1, "3.0")), "--dry-run").stdout
    assert "would stop and disable worker@2.service\n" in planned
    good(target, spec(1, "3.0"))
    assert states(target, 4) == {"worker.target": UP, "worker@1": UP, "worker@2": OFF, "worker@3": OFF, "worker@4": OFF}
    assert target.sh("ls /etc/systemd/system/worker.target.wants") == "worker@1.service"
    assert target.manage("rollback").status == 0
    several = {"worker.target": UP, "worker@1": UP, "worker@2": UP, "worker@3": UP, "worker@4": OFF}
    assert states(target, 4) == several
    target.sh("systemctl disable --now worker.target worker@1 worker@2 worker@3")
    good(target, spec(5, "4.0"))
    assert set(states(target, 5).values()) == {OFF}
    assert target.manage("status").status == 0
    target.sh("systemctl enable --now worker.target worker@1")
    good(target, single)
    assert target.sh("systemctl is-active worker.service") == "active"
    target.sh("systemctl disable --now worker.service")
    good(target, spec(2, "5.0"))
    assert set(states(target, 2).values()) == {OFF}


def test_the_gate_waits_for_each_and_the_watch_restarts_the_one_that_is_ill(target: Target) -> None:
    good(target, spec(3))
    before = pids(target, 3)
    target.sh("touch /var/lib/hello/ill-worker-2")
    assert target.manage("status").status == 3
    assert until(lambda: [unit["health"] for unit in target.status()["units"]] == ["good", "bad", "good"])
    assert until(lambda: pids(target, 3)[1] != before[1], 40)
    assert [pid for pid, old in zip(pids(target, 3), before, strict=True) if pid == old] == [before[0], before[2]]
    refused = target.install(spec(3, "2.0"), "--health-timeout", "8")
    assert refused.status == 14
    assert "worker@2.service is not healthy: its health check failed" in refused.stderr
    target.sh("rm /var/lib/hello/ill-worker-2")

    target.sh("touch /var/lib/hello/die-worker-3")
    assert until(lambda: target.sh("systemctl show -p ActiveState --value worker@3") == "failed", 40)
    target.sh("rm /var/lib/hello/die-worker-3")
    assert until(lambda: target.sh("systemctl show -p ActiveState --value worker@3") == "active", 60)
    assert "worker@3.service failed; starting it again" in target.sh("journalctl -u worker-watch@3 -o cat")


def test_reload_and_restart(target: Target) -> None:
    good(target, spec(3, more=DEAF))
    target.sh("systemctl stop worker@2")
    before = pids(target, 3)
    done = target.manage("reload")
    assert done.status == 0, done.stderr
    assert (answer(target, 1)[3], answer(target, 3)[3]) == ("1", "1")
    assert pids(target, 3) == before
    assert "plain cannot reload: bundle.toml defines no reload for it" in done.stderr
    assert "worker@2.service was stopped and stays so" in done.stderr
    assert target.manage("reload", "worker@3").status == 0
    assert (answer(target, 1)[3], answer(target, 3)[3]) == ("1", "2")
    refused = target.manage("reload", "plain")
    assert (refused.status, "Restart it: /opt/hello/manage restart plain\n" in refused.stderr) == (10, True)
    assert target.manage("reload", "nothing").status == 2
    # A program that knows nothing of the signal is ended by it, which must not pass for a reload.
    target.sh(
        "mkdir -p /run/systemd/system/deaf.service.d; printf '[Service]\\nExecReload=\\nExecReload=/bin/sh -c"
        ' "kill -s HUP $MAINPID"\\n\' >/run/systemd/system/deaf.service.d/reload.conf; systemctl daemon-reload'
    )
    assert target.manage("reload", "deaf").status == 15

    restarted = target.manage("restart", "worker")
    assert restarted.status == 0, restarted.stderr
    after = pids(target, 3)
    assert (after[1], after[0] != before[0], after[2] != before[2]) == ("0", True, True)
    assert "worker@1.service is healthy" in restarted.stderr
    assert target.manage("restart", "worker@2").status == 0
    assert (pids(target, 3)[0], pids(target, 3)[1] != "0") == (after[0], True)
    target.sh("systemctl stop worker@2")
    assert target.manage("restart").status == 0
    assert pids(target, 3)[1] == "0"


def test_exec_is_the_first_or_the_one_that_is_named(target: Target) -> None:
    good(target, spec(3))
    words = ("/bin/sh", "-c", 'echo "$INSTANCE $DIR $(pwd) $(wc -c <"$KEY_FILE")"')
    assert target.manage("exec", "worker", *words).stdout == "1 /var/lib/hello/1 /var/lib/hello/1 32\n"
    assert target.manage("exec", "worker@3", *words).stdout == "3 /var/lib/hello/3 /var/lib/hello/3 32\n"
    refused = target.manage("exec", "worker@4", *words)
    assert (refused.status, "It has: worker@1 worker@2 worker@3" in refused.stderr) == (2, True)


def test_names_that_somebody_else_has_are_refused_and_nothing_stays_behind(target: Target) -> None:
    for unit in ("worker@.service", "worker.target", "worker@2.service"):
        target.sh(f"printf '[Unit]\\nDescription=x\\n' >/etc/systemd/system/{unit}")
        refused = target.install(spec(2))
        assert (refused.status, f"there is a unit /etc/systemd/system/{unit} that" in refused.stderr) == (10, True)
        target.sh(f"rm /etc/systemd/system/{unit}")
    good(target, spec(2))
    assert target.manage("uninstall", "--purge", "--yes").status == 0
    assert (
        target.sh("systemctl list-units --all --no-legend 'worker*'; ls /etc/systemd/system | grep worker || :") == ""
    )
    assert target.sh("find / -xdev -name 'worker*' -not -path '/proc/*' -not -path '/root/*' -not -path '/run/*'") == ""


def test_in_an_image_they_are_linked_into_the_target(target: Target) -> None:
    target.sh("mkdir -p /root/image/usr/bin /root/image/etc /root/image/var/lib; cp /etc/os-release /root/image/etc")
    done = target.install(spec(2), "--root", "/root/image")
    assert done.status == 0, done.stderr
    links = target.sh("cd /root/image/etc/systemd/system; find . -type l -printf '%p %l\\n' | sort").splitlines()
    units = "/usr/local/lib/systemd/system"
    found = {line.split()[0]: line.split()[1].rpartition("/")[2] for line in links}
    assert found["./worker.target.wants/worker@2.service"] == "worker@.service", (links, units)
    assert found["./worker@1.service.wants/worker-health@1.timer"] == "worker-health@.timer"
    assert found["./multi-user.target.wants/worker.target"] == "worker.target"
    boot = target.sh(
        "cat /root/image/usr/local/lib/systemd/system/hello-first-boot.service"
        " /root/image/etc/systemd/system/hello-first-boot.service 2>/dev/null || :"
    )
    assert "Before=worker@1.service worker@2.service" in boot
    target.sh("rm -r /root/image")


def test_without_systemd_there_is_a_launcher_for_each(target: Target) -> None:
    good(target, spec(2), "--no-systemd")
    assert target.sh("ls /opt/hello/bin").split() == ["run-worker@1", "run-worker@2"]
    target.sh("for n in 1 2; do setsid /opt/hello/bin/run-worker@$n >/dev/null 2>&1 & done")
    assert until(
        lambda: target.machine.run("sh", "-c", "ls /var/lib/hello/starts-worker-*").stdout.count("starts") == 2
    )
    assert [answer(target, number)[1:3] for number in (1, 2)] == [
        ["1", "/var/lib/hello/1"],
        ["2", "/var/lib/hello/2"],
    ]
    done = target.manage("reload", "worker@2")
    assert done.status == 0, done.stderr
    assert until(lambda: (answer(target, 1)[3], answer(target, 2)[3]) == ("0", "1"))
    assert target.manage("restart", "worker").status == 10
    good(target, spec(1, "2.0"))
    assert target.sh("ls /opt/hello/bin").split() == ["run-worker@1"]
    target.sh("kill $(cat /run/conda-bundler/worker@1.pid /run/conda-bundler/worker@2.pid | cut -d' ' -f1)")
    assert until(lambda: target.manage("reload", "worker@1").status == 10)
    assert "worker@1 is not running" in target.manage("reload", "worker@1").stderr


def test_after_a_boot_those_run_that_the_admin_wanted(target: Target) -> None:
    """Last of all: the target's links decide, and the target's own."""
    good(target, spec(3))
    target.sh("systemctl disable worker@2; systemctl stop worker@1")
    links = json.dumps(sorted(target.sh("ls /etc/systemd/system/worker.target.wants").split()))
    assert links == '["worker@1.service", "worker@3.service"]'
    target.sh("systemctl stop worker.target worker@1 worker@2 worker@3; systemctl start multi-user.target")
    assert until(lambda: pids(target, 3)[0] != "0")
    assert (pids(target, 3)[1], pids(target, 3)[2] != "0") == ("0", True)


@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_on_other_systemds(tmp_path: Path, suite: str) -> None:
    with Machine(rootfs(suite)) as machine:
        target = Target(machine, tmp_path)
        good(target, spec(3))
        assert exposure(machine, "worker@1") <= 1.5
        verified = machine.run("systemd-analyze", "verify", "worker@1.service", "worker.target")
        assert (verified.status, verified.stderr) == (0, ""), verified.stderr
        target.sh("systemctl stop worker@2; rm /var/lib/hello/starts-*")
        good(target, spec(4, "2.0"))
        after = {"worker.target": UP, "worker@1": UP, "worker@2": "enabled inactive", "worker@3": UP, "worker@4": UP}
        assert states(target, 4) == after
        assert target.sh("cat /var/lib/hello/starts-* | wc -l") == "3"
        assert target.manage("reload", "worker@1").status == 0
        assert [answer(target, number)[3] for number in (1, 3)] == ["1", "0"]
        assert target.manage("rollback").status == 0
        assert states(target, 4) == {key: state for key, state in after.items() if key != "worker@4"} | {
            "worker@4": OFF
        }

"""Workers beneath a main process that lives on: the gate looks at them as well. The programs are Perl."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installkit import Spec
from targetkit import Target, good

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

# Keeps two workers, and answers itself, whatever becomes of them. Each lives as long as it is told to.
SERVE = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET; use POSIX ":sys_wait_h";
my ($port, @lives) = @ARGV;
my %pids;
sub worker {
    my ($life, $pid) = (shift, fork);
    if (!$pid) { $SIG{TERM} = "DEFAULT"; select undef, undef, undef, $life; exit 3 }
    $pids{$pid} = $life;
}
$SIG{TERM} = sub { kill "KILL", keys %pids; exit 0 };
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 9, ReuseAddr => 1) or die $!;
worker($_) for @lives;
while (1) {
    while ((my $pid = waitpid -1, WNOHANG) > 0) { worker(delete $pids{$pid}) }
    my $ready = ""; vec($ready, fileno($server), 1) = 1;
    next if select($ready, undef, undef, 0.02) <= 0;
    my $link = $server->accept or next;
    my $question = "";
    1 while $question !~ /\r\n\r\n/ and sysread $link, $question, 1000, length $question;
    syswrite $link, "HTTP/1.0 200 OK\r\n\r\n$0\n";
    close $link;
}
"""
HEALTH = 'health = { http = "http://127.0.0.1:8000/", start_period = 1, timeout = 12 }\n'


def spec(version: str, *lives: str, more: str = HEALTH) -> Spec:
    words = ", ".join(f'"{word}"' for word in ("serve", "8000", *lives))
    return Spec(version=version, serve=SERVE, tables=f"[services.hello]\ncommand = [{words}]\n{more}")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        yield machine


@pytest.fixture
def target(machine: Machine, tmp_path: Path) -> Iterator[Target]:
    target = Target(machine, tmp_path)
    yield target
    target.sh("[ ! -e /opt/hello/manage ] || sh /opt/hello/manage uninstall --purge --yes")


def test_a_release_whose_workers_end_at_their_start_does_not_stay(target: Target) -> None:
    steady = spec("1.0", "600", "600")
    good(target, steady)
    looping = target.install(spec("2.0", "0.3", "0.4"))  # it answers all the while
    assert looping.status == 14, looping.stderr
    assert "hello.service is not healthy: its workers keep exiting (all of them " in looping.stderr
    assert target.current() == steady.release
    assert target.status()["healthy"]
    asked = spec("2.0", "0.3", more=HEALTH + "short_lived_workers = true\n")
    good(target, asked)
    verified = target.machine.run("systemd-analyze", "verify", "/usr/local/lib/systemd/system/hello.service")
    assert (verified.status, verified.stdout + verified.stderr) == (0, "")


def test_one_that_nobody_asks_is_looked_at_too(target: Target) -> None:
    looping = target.install(spec("1.0", "0.3", more=""))
    assert (looping.status, "its workers keep exiting" in looping.stderr) == (15, True), looping.stderr
    good(target, spec("2.0", "0.3", "600", more=""))  # one of them lasts: that much is seen
    good(target, spec("3.0", more=""))


def test_other_shells_look_as_well(target: Target) -> None:
    busybox = Target(target.machine, target.room, shell=("busybox", "sh"))
    looping = busybox.install(spec("1.0", "0.3"))
    assert (looping.status, "its workers keep exiting" in looping.stderr) == (15, True), looping.stderr
    good(busybox, spec("2.0", "600"))

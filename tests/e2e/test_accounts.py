"""``install.sh --user`` and ``bundle.uid``: as whom services run, and what becomes of a user that is not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installkit import Spec, but
from targetkit import Target, good

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

# Tells who it is.
SERVE = """#!/bin/sh
{ id -un; id -gn; echo "$HOME"; } >"$STATE_DIRECTORY/who"
while :; do sleep 1; done
"""
SOCKET = '[services.web]\ncommand = ["serve"]\nsocket = "{runtime}/web.sock"\nretry = false\n'
SPEC = Spec(
    serve=SERVE,
    tables='[services.hello]\ncommand = ["serve"]\nbefore_start = ["/bin/sh", "-c", "id -un >{state}/before"]\n'
    + SOCKET,
)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        yield machine


@pytest.fixture
def target(machine: Machine, tmp_path: Path) -> Iterator[Target]:
    target = Target(machine, tmp_path)
    target.sh(
        "useradd --system --user-group --home-dir /home/svc svc; usermod -aG video svc; mkdir -p /home/svc;"
        " echo mine >/home/svc/file; chown -R svc:svc /home/svc; echo tmp >/var/tmp/of-svc; chown svc /var/tmp/of-svc"
    )
    yield target
    target.sh("[ ! -e /opt/hello/manage ] || sh /opt/hello/manage uninstall --purge --yes; userdel svc")


def who(target: Target) -> list[str]:
    return target.sh("cat /var/lib/hello/who").split()


OTHERS = "stat -c '%U %G %a %n' /home/svc /home/svc/file /var/tmp/of-svc; getent passwd svc; getent group svc; id svc"


def test_services_run_as_a_user_that_is_there_and_stays(target: Target) -> None:
    others = target.sh(OTHERS)
    refused = target.install(SPEC, "--user", "nobody-here")
    assert (refused.status, "there is no user 'nobody-here'" in refused.stderr) == (10, True)
    good(target, SPEC, "--user", "svc")
    assert who(target) == ["svc", "svc", "/var/lib/hello"]
    assert target.sh("cat /var/lib/hello/before") == "svc"
    assert target.sh("stat -c '%U %G' /var/lib/hello /run/web/web.sock") == "svc svc\nsvc svc"
    assert target.machine.run("getent", "passwd", "hello").status == 2
    assert target.manage("verify").status == 0
    assert target.manage("exec", "hello", "/bin/sh", "-c", "id -un").stdout.strip() == "svc"
    units = target.sh("cd /usr/local/lib/systemd/system; ls -d $PWD/*.service $PWD/*.socket").split()
    verified = target.machine.run("systemd-analyze", "verify", *units)
    assert (verified.status, verified.stdout + verified.stderr) == (0, "")

    good(target, but(SPEC, version="2.0"))  # it knows by its record
    assert who(target)[0] == "svc"
    other = target.install(but(SPEC, version="3.0"), "--user", "games")
    assert (other.status, "services of hello already run as svc on this machine" in other.stderr) == (10, True)
    assert target.manage("rollback").status == 0
    taken = target.install(Spec(name="second", services=("second",)), "--user", "svc")
    assert (taken.status, "belongs to the bundle 'hello'" in taken.stderr) == (10, True)

    assert target.manage("uninstall").status == 0
    good(target, SPEC)  # a plain uninstall leaves the state, and whose it is
    assert who(target)[0] == "svc"
    gone = target.manage("uninstall", "--purge", "--yes")
    assert (gone.status, "the user svc was there before and stays" in gone.stderr) == (0, True)
    assert target.sh(OTHERS) == others
    assert target.sh("ls -d /var/lib/hello /etc/hello /run/web /var/lib/conda-bundler 2>/dev/null || :") == ""


def test_a_failed_first_install_takes_nothing_of_the_users(target: Target) -> None:
    others = target.sh(OTHERS)
    ill = target.install(but(SPEC, serve="#!/bin/sh\nexit 1\n"), "--user", "svc")
    assert ill.status == 15, ill.stderr
    good(target, but(SPEC, version="2.0"))
    assert who(target)[0] == "svc"
    assert target.manage("uninstall", "--purge", "--yes").status == 0
    assert target.sh(OTHERS) == others


def test_without_systemd_and_in_an_image(target: Target) -> None:
    plain = but(SPEC, tables=SPEC.tables.replace(SOCKET, ""))
    good(target, plain, "--user=svc", "--no-systemd")
    target.sh("setsid /opt/hello/bin/run-hello >/dev/null 2>&1 & sleep 3")
    assert who(target) == ["svc", "svc", "/var/lib/hello"]
    assert target.sh("cat /var/lib/hello/before") == "svc"
    target.sh("kill $(cut -d' ' -f1 /run/conda-bundler/hello.pid); sleep 2")
    target.sh("systemd-run -q --unit=elsewhere -p User=svc sleep 300")  # of the user's own
    gone = target.manage("uninstall", "--purge", "--yes")
    assert gone.status == 0, gone.stderr
    target.sh("systemctl stop elsewhere")

    target.sh("mkdir -p /root/image/usr/bin /root/image/etc /root/image/var/lib; cp /etc/os-release /root/image/etc")
    refused = target.install(plain, "--root", "/root/image", "--user", "svc")
    assert (refused.status, "there is no user 'svc' in the image" in refused.stderr) == (10, True)
    target.sh("cp /etc/passwd /etc/group /root/image/etc")
    done = target.install(plain, "--root", "/root/image", "--user", "svc")
    assert done.status == 0, done.stderr
    assert target.sh("grep -c ^hello: /root/image/etc/passwd || :") == "0"
    assert "account svc svc" in target.sh("cat /root/image/var/lib/conda-bundler/hello/owned").splitlines()
    assert target.sh("grep -h ^User= /root/image/opt/hello/current/units/*.service | sort -u") == "User=svc"
    target.sh("rm -r /root/image")


def test_a_fixed_uid_is_had_kept_and_changed_by_hand_alone(target: Target) -> None:
    target.sh("useradd --uid 4711 --no-create-home other; groupadd --gid 4712 others")
    for uid, whose in ((4711, "passwd by 'other'"), (4712, "group by 'others'")):
        taken = target.install(but(SPEC, uid=uid))
        assert (taken.status, f"is already used in /etc/{whose}" in taken.stderr) == (10, True)
    target.sh("userdel other; groupdel others")
    good(target, but(SPEC, uid=4711))
    assert target.sh("id -u hello; id -g hello; stat -c '%u %g' /var/lib/hello") == "4711\n4711\n4711 4711"
    good(target, but(SPEC, version="2.0"))  # which does not care
    before = target.sh("cat /var/lib/hello/who; readlink /opt/hello/current")
    refused = target.install(but(SPEC, version="3.0", uid=4800))
    assert (
        refused.status,
        "have the uid 4711 on this machine, but this bundle was built for 4800" in refused.stderr,
    ) == (10, True)
    assert target.sh("cat /var/lib/hello/who; readlink /opt/hello/current") == before
    target.sh("systemctl stop hello web web.socket; usermod -u 4800 hello; groupmod -g 4800 hello")
    target.sh("echo old >/var/lib/hello/old; chown 4711:4711 /var/lib/hello/old; systemctl start hello web")
    good(target, but(SPEC, version="3.0", uid=4800))
    assert target.sh("stat -c '%u %g' /var/lib/hello /var/lib/hello/who") == "4800 4800\n4800 4800"
    assert target.manage("uninstall", "--purge", "--yes").status == 0
    assert target.machine.run("getent", "passwd", "hello").status == 2
    # useradd in the place of systemd-sysusers
    target.sh("mv /usr/bin/systemd-sysusers /root/")
    good(target, but(SPEC, uid=4900))
    assert target.sh("id -u hello; id -g hello; mv /root/systemd-sysusers /usr/bin/") == "4900\n4900"

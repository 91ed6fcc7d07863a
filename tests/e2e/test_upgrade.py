"""From one release to the next and back, on real machines: what runs, what the admin wanted, what a failure leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from installkit import Spec, but
from targetkit import PORT, WEB, Target, good, ready
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

FIRST = WEB
SECOND = but(WEB, version="2.0")
UNHEALTHY = but(WEB, version="3.0", health="exit 1\n", timeout=1)
QUIET = Spec(services=("hello", "hello-b", "hello-c"))
RELOADS = 2  # for the new units, and when the one that guards a boot in between is gone
UNITS = "/usr/local/lib/systemd/system"
PROGRAM = f"/opt/hello/releases/{FIRST.release}/app/serve"


def reloads(target: Target) -> int:
    """How often systemd has read all units again since the machine's boot."""
    target.sh("journalctl --sync")
    return int(target.sh("journalctl -b --no-pager -o cat _PID=1 | grep -c '^Reloading' || :"))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        yield ready(machine, tmp_path)


@pytest.mark.parametrize("suite", ["bullseye", "trixie", *everywhere("bookworm")])
def test_there_and_back_again(tmp_path: Path, suite: str) -> None:
    with Machine(rootfs(suite, include=("busybox",))) as machine:
        target = ready(machine, tmp_path)
        good(target, FIRST)
        good(target, SECOND)
        assert target.serves(SECOND)

        back = target.manage("rollback")
        assert back.status == 0, back.stderr
        assert (target.serves(FIRST), target.current()) == (True, FIRST.release)

        good(target, SECOND)
        units = target.sh(f"cat {UNITS}/hello*")
        failed = target.install(UNHEALTHY)
        assert failed.status == 14, failed.stderr
        assert "hello.service is not healthy: its health check failed" in failed.stderr
        assert (target.serves(SECOND), target.current()) == (True, SECOND.release)
        assert target.sh(f"cat {UNITS}/hello*") == units
        assert target.sh("ls /var/lib/conda-bundler/hello") == "owned"

        status = target.status()
        assert (status["release"], status["previous"]) == (SECOND.release, FIRST.release)  # and not the bad one
        assert (status["healthy"], status["pending"]) == (True, None)
        marks = dict(line.split("\t")[::3] for line in target.manage("releases").stdout.splitlines()[:-1])
        assert marks == {SECOND.release: "current", FIRST.release: "previous", UNHEALTHY.release: "bad"}
        hooks_go_with_the_data(target)


NOTE = '#!/bin/sh\necho "${0##*-} $HOOK_FROM_VERSION>$HOOK_TO_VERSION $(id -un)" >>"$STATE_DIRECTORY/log"\n'
FAIL = f"{NOTE}echo cannot migrate\nexit 3\n"
DATA = Spec(name="data", services=("data",), hooks=(("before-switch", NOTE), ("back", NOTE), ("after-switch", NOTE)))


def noted(target: Target) -> list[str]:
    """What the hooks have noted since this was asked last."""
    lines = target.sh("cat /var/lib/data/log 2>/dev/null; rm -f /var/lib/data/log").splitlines()
    assert all(line.endswith(" data") for line in lines), lines
    return [line.removesuffix(" data") for line in lines]


def serves_untouched(target: Target, spec: Spec, process: str) -> None:
    """Nothing of an upgrade that was given up is left; the service may have been restarted unless ``process`` is it."""
    programs = target.sh(f"cd {UNITS}; grep -h ExecStart= data*").splitlines()
    assert len(programs) == 1 + len(spec.hooks)
    assert all(spec.release in program for program in programs), programs
    assert target.sh("readlink /opt/data/current") == f"releases/{spec.release}"
    assert target.sh("ls /var/lib/conda-bundler/data") == "owned"
    assert target.sh("systemctl is-active data") == "active"
    assert not process or target.sh("systemctl show -p MainPID --value data") == process


def hooks_go_with_the_data(target: Target) -> None:
    """A failing hook changes nothing, and each release that is left has its own undone."""
    hooks = dict(DATA.hooks)
    good(target, DATA)
    assert noted(target) == ["switch >1.0", "switch >1.0"]
    good(target, DATA)
    assert noted(target) == []
    process = target.sh("systemctl show -p MainPID --value data")

    refused = target.install(but(DATA, version="2.0", hooks=tuple((hooks | {"before-switch": FAIL}).items())))
    assert refused.status == 16, refused.stderr
    assert "data-hook-before-switch.service of 2.0-" in refused.stderr
    assert "    cannot migrate\n" in refused.stderr
    assert noted(target) == ["switch 1.0>2.0", "back 2.0>1.0"]
    serves_untouched(target, DATA, process)

    third = but(DATA, version="3.0")
    good(target, third)
    assert noted(target) == ["switch 1.0>3.0"] * 2
    back = target.manage("rollback", name="data")
    assert back.status == 0, back.stderr
    assert noted(target) == ["back 3.0>1.0"]
    serves_untouched(target, DATA, "")

    late = target.install(but(DATA, version="4.0", hooks=tuple((hooks | {"after-switch": FAIL}).items())))
    assert late.status == 16, late.stderr
    assert noted(target) == [*["switch 1.0>4.0"] * 2, "back 4.0>1.0"]
    serves_untouched(target, DATA, "")
    ill = target.install(but(DATA, version="5.0", serve="#!/bin/sh\nexit 1\n"))
    assert ill.status == 14, ill.stderr
    assert noted(target) == ["switch 1.0>5.0", "back 5.0>1.0"]

    good(target, third)
    stuck = but(DATA, version="6.0", hooks=(("back", '#!/bin/sh\n[ ! -e "$STATE_DIRECTORY/stuck" ]\n'),))
    good(target, stuck)
    target.sh("touch /var/lib/data/stuck")
    kept = target.manage("rollback", name="data")
    assert kept.status == 16, kept.stderr
    serves_untouched(target, stuck, "")
    target.sh("rm /var/lib/data/stuck")
    noted(target)
    far = target.manage("rollback", DATA.release, name="data")
    assert far.status == 0, far.stderr
    assert noted(target) == ["back 3.0>1.0"]  # after that of 6.0, which notes nothing
    assert target.sh("sed -n 's/^hooked //p' /var/lib/conda-bundler/data/owned") == f"{DATA.release} done"
    assert target.manage("uninstall", "--purge", "--yes", name="data").status == 0
    assert target.sh(f"ls {UNITS} | grep data || :") == ""


def test_a_bad_release_is_tried_again_when_its_bundle_is_installed_again(target: Target) -> None:
    third = but(WEB, version="3.0", health="read -r verdict </srv/verdict && exit $verdict\n", timeout=1)
    target.sh("echo 1 >/srv/verdict")
    good(target, FIRST)
    before = reloads(target)
    assert target.install(third).status == 14
    assert reloads(target) - before == RELOADS + 1  # and for the units that came back
    assert target.manage("rollback").status == 10  # there is no other good one
    target.sh("echo 0 >/srv/verdict")
    good(target, third)
    assert target.serves(third)
    assert target.manage("releases").stdout.count("bad") == 0
    assert target.history() == [
        f"{FIRST.release} installed",
        f"{third.release} failed",
        f"{FIRST.release} back",
        f"{third.release} upgraded",
    ]


def test_a_release_that_does_not_start_any_more_is_gone_back_to_once(target: Target) -> None:
    """It was ill before, and nobody had noticed: to go back to it once more would change nothing."""
    good(target, FIRST)
    target.sh(f"chmod a-x {PROGRAM}")
    failed = target.install(UNHEALTHY)
    assert failed.status == 14, failed.stderr
    assert "hello.service is not healthy: it did not start" in failed.stderr
    assert f"rollback to {FIRST.release} failed" in failed.stderr
    assert target.current() == FIRST.release
    assert target.sh("ls /var/lib/conda-bundler/hello") == "owned"
    assert target.history()[-1] == f"{FIRST.release} back"
    target.sh(f"chmod a+x {PROGRAM}; systemctl restart hello")
    assert until(lambda: target.serves(FIRST))


@pytest.mark.parametrize("suite", ["bookworm", *everywhere("bullseye", "trixie")])
def test_a_stranger_who_answers_on_the_port_makes_nothing_healthy(tmp_path: Path, suite: str) -> None:
    """The new release never gets the port: its program retries for ever while somebody else answers well."""
    with Machine(rootfs(suite, include=("busybox",))) as machine:
        refuses_a_stranger(ready(machine, tmp_path))


def refuses_a_stranger(target: Target) -> None:
    good(target, FIRST)
    waits = but(WEB, version="2.0", serve="#!/bin/sh\nwhile :; do sleep 1; done\n", timeout=2)
    # It comes in the moment in which the port is free.
    target.sh(
        f"systemd-run -q --unit=stranger sh -c 'until busybox httpd -f -p 127.0.0.1:{PORT} -h /srv/www; do"
        " sleep 0.01; done'"
    )
    answer = target.install(waits)
    assert answer.status == 14, answer.stderr
    assert f"somebody else listens on 127.0.0.1:{PORT} (process " in answer.stderr
    assert target.current() == FIRST.release


def test_what_the_admin_chose_outlives_upgrade_and_rollback(target: Target) -> None:
    good(target, QUIET)
    target.sh(
        "systemctl stop hello-b; systemctl disable hello-b; systemctl mask --now hello-c;"
        " mkdir /etc/systemd/system/hello.service.d;"
        " printf '[Service]\\nEnvironment=ADMIN=yes\\n' >/etc/systemd/system/hello.service.d/admin.conf;"
        " systemctl daemon-reload; echo PORT=1 >>/etc/hello/hello.env"
    )
    after = but(QUIET, version="2.0")
    for step in ("upgrade", "rollback"):
        answer = target.install(after) if step == "upgrade" else target.manage("rollback")
        assert answer.status == 0, answer.stderr
        assert "hello-c.service is masked and stays so" in answer.stderr
        assert target.sh("systemctl is-active hello hello-b hello-c || :") == "active\ninactive\ninactive"
        assert target.sh("systemctl is-enabled hello hello-b hello-c || :") == "enabled\ndisabled\nmasked"
        environment = target.sh("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value hello)/environ")
        assert "ADMIN=yes" in environment.splitlines()
        assert target.sh("tail -n 1 /etc/hello/hello.env") == "PORT=1"


def test_units_that_a_release_drops_go_and_come_back_as_they_were(target: Target) -> None:
    good(target, QUIET)
    target.sh("systemctl disable hello-c")
    fewer = but(QUIET, version="2.0", services=("hello",))
    before = reloads(target)
    good(target, fewer)
    assert reloads(target) - before == RELOADS
    assert target.sh(f"ls {UNITS}") == "hello.service"
    assert target.sh("cd /etc/systemd/system; ls -d *.wants/hello*") == "multi-user.target.wants/hello.service"
    assert target.sh("systemctl list-units --all --plain --no-legend 'hello*' | cut -d' ' -f1") == "hello.service"

    before = reloads(target)
    back = target.manage("rollback")

    assert back.status == 0, back.stderr
    assert reloads(target) - before == RELOADS
    assert target.serves(QUIET)
    assert target.sh("systemctl is-enabled hello hello-b hello-c || :") == "enabled\nenabled\ndisabled"


def test_a_unit_that_wants_another_target_is_enabled_there_alone(target: Target) -> None:
    good(target, QUIET)
    moved = but(QUIET, version="2.0", wanted_by="graphical.target")
    good(target, moved)
    assert target.sh("cd /etc/systemd/system; ls -d *.wants/hello.service") == "graphical.target.wants/hello.service"


def test_a_machine_that_loses_power_between_two_units_boots_no_mixture(target: Target) -> None:
    good(target, QUIET)
    second = but(QUIET, version="2.0", services=("hello", "hello-b", "hello-new"))
    hang = '#!/bin/sh\ncase $* in */hello.service) touch /srv/hangs; sleep 1000 ;; esac\nexec /usr/bin/mv "$@"\n'
    install = target.bring(second)
    target.machine.put("/usr/local/sbin/mv", hang.encode(), 0o755)
    target.sh(
        f"systemd-run -q --unit=upgrade sh {install}; until [ -e /srv/hangs ]; do sleep 0.1; done;"
        " rm /usr/local/sbin/mv; sync"
    )
    assert target.sh(f"cd {UNITS}; grep -c {second.release} hello.service hello-b.service || :").split() == [
        "hello.service:0",
        "hello-b.service:3",
    ]

    target.machine.kill()
    target.machine.start()

    assert target.serves(QUIET)
    assert target.sh(f"ls {UNITS}").split() == ["hello-b.service", "hello-c.service", "hello.service"]
    assert target.sh("ls /var/lib/conda-bundler/hello") == "owned"
    assert target.sh("systemctl is-enabled hello hello-b hello-c") == "enabled\n" * 2 + "enabled"
    good(target, second)
    assert target.serves(second)


def test_requests_fail_only_while_the_service_restarts(target: Target) -> None:
    good(target, FIRST)
    target.sh(
        "systemd-run -q --unit=asking sh -c 'while :; do read -r now _ </proc/uptime;"
        f' echo "$now $(busybox wget -q -O - http://127.0.0.1:{PORT}/yes 2>/dev/null)" >>/srv/asked; sleep 0.02; done\''
    )
    good(target, SECOND)
    target.sh("until [ $(wc -l </srv/asked) -gt 50 ]; do sleep 0.1; done; systemctl stop asking")  # also after it
    asked = [line.split() for line in target.sh("cat /srv/asked").splitlines()]
    failed = [index for index, words in enumerate(asked) if words[1:] != ["yes"]]
    assert failed == list(range(failed[0], failed[-1] + 1)) if failed else True  # once, without a break
    assert not failed or float(asked[failed[-1]][0]) - float(asked[failed[0]][0]) < 2

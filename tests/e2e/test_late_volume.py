"""A volume that the service's state is on comes late: systemd refuses the service, and its watch tries it again."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from installkit import Spec
from targetkit import Target, good
from waiting import PATIENCE, until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

SPEC = Spec(
    serve='#!/bin/sh\ntouch "$STATE_DIRECTORY/here"\nwhile :; do sleep 1; done\n',
    tables='[services.hello]\ncommand = ["serve"]\n',
)
# What a mount unit has that cannot be mounted yet.
MOUNT = "[Mount]\nWhat=/srv/disk/volume\nWhere=/var/lib/hello\nType=none\nOptions=bind\n"
GONE = "mv /srv/disk /srv/away; touch /srv/disk"  # of a bind mount systemd would make a missing directory
BACK = "rm /srv/disk; mv /srv/away /srv/disk"


def states(target: Target) -> list[str]:
    return target.machine.run("systemctl", "is-active", "hello", "hello-watch.timer").stdout.split()


def looked(target: Target) -> None:
    """The watch has looked, as it does every five minutes."""
    target.sh("systemctl start hello-watch.service")


def states_after_a_look(target: Target) -> list[str]:
    looked(target)
    return states(target)


def tries(target: Target) -> list[float]:
    """When the watch has tried it again since this machine has booted; each failure of that has it look at once."""
    told = target.sh("journalctl -b -o short-monotonic -u hello-watch.service")
    return [float(at) for at in re.findall(r"^\[ *([0-9.]+)\].*what it requires was missing", told, re.MULTILINE)]


def test_it_comes_up_with_its_volume_unless_somebody_has_stopped_it(tmp_path: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        target = Target(machine, tmp_path)
        machine.put("/etc/systemd/system/var-lib-hello.mount", MOUNT.encode())
        target.sh(
            "mkdir -p /srv/disk/volume /var/lib/hello; systemctl daemon-reload; systemctl start var-lib-hello.mount"
        )
        good(target, SPEC)
        target.sh(GONE)
        machine.reboot()
        assert until(lambda: states(target) == ["inactive", "active"]), states(target)
        assert until(lambda: tries(target))
        assert until(lambda: target.sh("systemctl show -p Job --value hello") in ("", "0"))
        assert states(target) == ["inactive", "active"]
        for _ in range(5):
            looked(target)

        target.sh(BACK)
        assert until(lambda: states_after_a_look(target) == ["active", "active"], 2 * PATIENCE), tries(target)
        seconds = tries(target)
        assert [later - earlier for earlier, later in pairwise(seconds) if later - earlier < 29] == [], "no storm"
        assert target.sh("ls /srv/disk/volume") == "here"

        target.sh(GONE)
        machine.reboot()
        assert until(lambda: states(target) == ["inactive", "active"])
        target.sh(f"systemctl stop hello; {BACK}")
        looked(target)
        assert states(target) == ["inactive", "inactive"]

"""What a service that was taken over learns of the other services of its bundle, whose user it shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installkit import Member, Spec
from targetkit import Target
from waiting import until

from bundler.config.project import Secret
from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

# Of every process: its variables, and by its root the credentials that were mounted for it.
ATTACK = rb"""#!/bin/sh
exec >/var/lib/hello/seen 2>&1
sleep 1
for p in /proc/[0-9]*; do
    [ "${p#/proc/}" = $$ ] && continue
    tr '\0' '\n' 2>/dev/null <$p/environ | grep '^KEY=' | sed 's/=.*//'
    cat $p/root/run/credentials/a.service/TOKEN >/dev/null 2>&1 && echo TOKEN
done
cat /run/credentials/a.service/TOKEN >/dev/null 2>&1 && echo TOKEN
cat /etc/hello/secrets.env >/dev/null 2>&1 && echo FILE
echo end
while :; do sleep 1; done
"""
SECRETS = (
    Secret(name="KEY", bytes=32, format="hex"),
    Secret(name="TOKEN", bytes=32, format="hex", delivery="credential"),
)


def tables(victim: str = "", attacker: str = "") -> str:
    return f"""
[secrets]
RELEASE_COOKIE = false
TOKEN = {{ delivery = "credential" }}
KEY = {{ }}
[services.a]
command = ["serve"]
profile = "generic"
secrets = ["TOKEN", "KEY"]
{victim}
[services.b]
command = ["attack"]
profile = "generic"
secrets = []
{attacker}
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm", include=("busybox",))) as running:
        yield running


def learned(machine: Machine, room: Path, text: str) -> set[str]:
    target = Target(machine, room)
    members = (Member(name="app/attack", content=ATTACK, mode=0o755),)
    spec = Spec(tables=text, secrets=SECRETS, services=("a", "b"), members=members)
    answer = target.install(spec)
    assert answer.status == 0, answer.stderr
    assert target.sh("systemctl is-active a b") == "active\nactive"
    try:
        assert until(lambda: (machine.read("/var/lib/hello/seen") or b"").endswith(b"end\n"), 30)
        return set((machine.read("/var/lib/hello/seen") or b"").decode().split()) - {"end"}
    finally:
        assert target.manage("uninstall", "--purge", "--yes").status == 0


LOW = "ports = [81]"
CASES: dict[str, tuple[str, str, set[str]]] = {
    "both in a namespace": ("", "", set()),
    "only the victim": ("", LOW, set()),
    "only the attacker": (LOW, "", set()),
    "none": (LOW, LOW, {"KEY", "TOKEN"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_it_learns(machine: Machine, tmp_path: Path, case: str) -> None:
    victim, attacker, expected = CASES[case]
    assert learned(machine, tmp_path, tables(victim, attacker)) == expected

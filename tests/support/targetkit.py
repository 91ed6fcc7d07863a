"""A machine, and how bundles are brought to it, installed and managed there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from installkit import Spec, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.machine import Answer, Machine

__all__ = ["PORT", "WEB", "Target", "changes", "good", "ready"]

PORT = 8000
# A web server that every Debian with busybox has. It is healthy while it serves /srv/www/yes.
WEB = Spec(
    serve='#!/bin/sh\nexec busybox httpd -f -p "127.0.0.1:$PORT" -h /srv/www\n',
    health='exec /bin/sh "${0%/*}/probe" http "http://127.0.0.1:$PORT/yes" 5\n',
    url="http://127.0.0.1:${PORT}/yes",
    start_period=1,
    timeout=3,
)


@dataclass(frozen=True)
class Target:
    """A machine, and how install.sh is run there."""

    machine: Machine
    room: Path
    shell: tuple[str, ...] = ("sh",)

    def bring(self, spec: Spec) -> str:
        """Write the bundle and copy it to the machine; the path of its install.sh there."""
        there = f"/root/{spec.name}-{spec.release}"
        if not (self.room / spec.release).exists():
            self.machine.run("rm", "-rf", there, check=True)  # of another test on the same machine
            self.machine.copy_in(write_bundle(spec, self.room / spec.release), there)
        return f"{there}/install.sh"

    def install(self, spec: Spec, *options: str, env: dict[str, str] | None = None) -> Answer:
        return self.machine.run(*self.shell, self.bring(spec), *options, env=env)

    def manage(self, *words: str, name: str = "hello", stdin: bytes | None = None) -> Answer:
        return self.machine.run(*self.shell, f"/opt/{name}/manage", *words, stdin=stdin)

    def status(self, name: str = "hello") -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.manage("status", "--json", name=name).stdout)
        return document

    def history(self) -> list[str]:
        """``RELEASE ACTION`` a line, the times left out."""
        return [line.split(" ", 1)[1] for line in self.sh("cat /opt/hello/history").splitlines()]

    def current(self) -> str:
        return self.sh("readlink /opt/hello/current").removeprefix("releases/")

    def serves(self, spec: Spec) -> bool:
        """Whether every service of ``spec``, and nothing of another release, runs."""
        units = " ".join(f"{name}.service" for name in spec.services)
        started = self.sh(f"systemctl show -p ExecStart {units}").split("\n\n")
        return self.sh(f"systemctl is-active {units}").split() == ["active"] * len(spec.services) and all(
            spec.release in line for line in started
        )

    def sh(self, script: str) -> str:
        return self.machine.run("sh", "-c", script, check=True).stdout.strip()

    def listing(self) -> set[str]:
        """Every file of the machine with all that a change to it would change, the noise of a living system aside."""
        noise = ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/var/log", "/var/tmp", "/var/lib/systemd")
        pruned = " -o ".join(f"-path {path}" for path in noise)
        return set(
            self.sh(f"/usr/bin/find / \\( {pruned} \\) -prune -o -printf '%p %y %m %u %g %s %i %T@ %l\\n'").splitlines()
        )


def changes(before: set[str], after: set[str]) -> list[str]:
    """What differs. The times of directories that got a file and lost it again do not count."""
    return sorted(line for line in before ^ after if " d " not in line) + sorted(
        {line.split()[0] for line in before ^ after if " d " in line}
        - ({line.split()[0] for line in before} & {line.split()[0] for line in after})
    )


def ready(machine: Machine, room: Path) -> Target:
    """A target on which :data:`WEB` is healthy."""
    target = Target(machine, room)
    target.sh("mkdir -p /srv/www; echo yes >/srv/www/yes")
    return target


def good(target: Target, spec: Spec, *options: str) -> None:
    """Install, which must work."""
    answer = target.install(spec, *options)
    assert answer.status == 0, answer.stderr

"""What the tests of the examples share: their channels, and questions to a service on a machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waiting import until

from bundler.machine import rootfs

if TYPE_CHECKING:
    from bundler.machine import Machine

__all__ = [
    "CHECKOUT",
    "Reply",
    "ask",
    "channel_for",
    "debian_channel",
    "environment",
    "examples_channel",
    "exposure",
    "exposures",
    "healthy",
    "main_pid",
    "older_channel",
    "secret",
    "unit_complaints",
    "until",
    "users",
]

CHECKOUT = Path(__file__).parents[2]

_ASK = """
import json, sys, urllib.error, urllib.request
method, url, body, headers = json.loads(sys.argv[1])
request = urllib.request.Request(url, body and body.encode(), headers, method=method)
try:
    answer = urllib.request.urlopen(request, timeout=20)
except urllib.error.HTTPError as refusal:
    answer = refusal
print(json.dumps([answer.status, answer.read().decode()]))
"""
_LISTED = ("--with=celery", "--with=flask", "--with=inference", "--with=jupyter")
Reply = tuple[int, str]


@cache
def examples_channel() -> Path:
    """A channel with what the examples need, made once in build/channel-examples (quick if it is there already)."""
    return _channel("channel-examples", *_LISTED, "--with=elixir")


@cache
def older_channel() -> Path:
    """The same for Python, made of what Debian bullseye has: glibc 2.31 and Python 3.9."""
    return debian_channel("bullseye", *_LISTED)


def debian_channel(suite: str, *options: str) -> Path:
    """A channel of what a Debian has: bullseye's Python 3.9 and glibc 2.31, say."""
    system = rootfs(suite, include=("python3-distutils", "zstd"))
    name = f"channel-{suite}" if options else f"channel-{suite}-plain"
    return _channel(name, "--system", system, *options)


def channel_for(suite: str) -> Path:
    """Whose packages run there. This machine's Python needs its glibc, which is not older than bookworm's.

    Bookworm, too, gets the older ones: one bundle then runs with two glibc, as most people's will.
    """
    return examples_channel() if suite == "trixie" else older_channel()


def _channel(name: str, *options: str | Path) -> Path:
    channel = CHECKOUT / "build" / name
    words: list[str | Path] = [sys.executable, CHECKOUT / "examples" / "channel", channel, *options]
    if subprocess.run(words, check=False, timeout=900).returncode != 0 and shutil.which("apt-get"):
        # A machine whose lists are missing or old has not got the address of Debian's packages.
        subprocess.run(["apt-get", "-qq", "update"], check=False, timeout=300)
        subprocess.run(words, check=True, timeout=900)
    return channel


def ask(
    machine: Machine, url: str, body: Any = None, *, method: str | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """Status and text of an answer, asked for by the host's Python on the machine's network.

    ``body`` is sent as JSON, a form's bytes as they are.
    """
    method = method or ("GET" if body is None else "POST")
    text = body.decode() if isinstance(body, bytes) else None if body is None else json.dumps(body)
    arguments = json.dumps([method, url, text, headers or {}])
    done = machine.run_on_its_network(sys.executable, "-I", "-c", _ASK, arguments)
    assert done.status == 0, done.stderr
    status, answer = json.loads(done.stdout)
    return status, answer


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.run("systemctl", "show", "--property=MainPID", "--value", unit, check=True).stdout)


def secret(machine: Machine, name: str, variable: str) -> str:
    """What the machine has made for a bundle."""
    text = machine.run("cat", f"/etc/{name}/secrets.env", check=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)[variable].strip('"')


def environment(machine: Machine, pid: int) -> dict[str, str]:
    """A running process's own."""
    text = machine.run("cat", f"/proc/{pid}/environ", check=True).stdout
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def users(machine: Machine, unit: str) -> set[str]:
    """Who the unit's processes run as, all of them."""
    group = machine.run("systemctl", "show", "--property=ControlGroup", "--value", unit, check=True).stdout.strip()
    script = f"find /sys/fs/cgroup{group} -name cgroup.procs -exec cat {{}} + | sed 's,.*,/proc/&,' | xargs stat -c %U"
    return set(machine.run("sh", "-c", script, check=True).stdout.split())


def exposure(machine: Machine, service: str) -> float:
    """What ``systemd-analyze security`` makes of it; 10 is worst. Of its file alone where systemd can do so."""
    offline = machine.systemd_version >= 250
    which = ("--offline=true", f"/usr/local/lib/systemd/system/{service}.service") if offline else (service,)
    text = machine.run("systemd-analyze", "security", "--no-pager", *which, env={"SYSTEMD_COLORS": "0"}).stdout
    found = exposures(text)
    assert len(found) == 1, text
    return found.popitem()[1]


def exposures(text: str) -> dict[str, float]:
    """What ``systemd-analyze security`` says of units, by their files' names."""
    found = re.findall(r"Overall exposure level for ([^\s@]+@?)[^\s.]*(\.service): ([0-9.]+)", text)
    return {stem + kind: float(level) for stem, kind, level in found}


def unit_complaints(machine: Machine, *units: str) -> str:
    """What ``systemd-analyze verify`` has to say."""
    done = machine.run("systemd-analyze", "verify", *units)
    return done.stdout + done.stderr


def healthy(machine: Machine, name: str) -> bool:
    """Whether the service becomes well in time."""
    return until(lambda: machine.run("systemctl", "start", f"{name}-health").status == 0)

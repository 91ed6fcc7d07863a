"""Faults at the N-th step of install.sh, without one byte of it changed: wrappers stand before its tools."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundler.machine import Answer, Machine

__all__ = ["CUTS", "KILLS", "TOOLS", "Fault", "arm", "calls", "chosen", "disarm", "running", "strike"]

TOOLS = (
    *("cat", "chmod", "cp", "ln", "mkdir", "mv", "rm", "rmdir", "sync", "systemctl", "tar"),
    *("systemd-sysusers", "useradd", "userdel", "groupdel", "adduser", "deluser"),
)
"""All tools that install.sh changes anything with, and ``cat``, which writes what :func:`put` puts."""
APPLETS = (
    *("cmp", "cut", "date", "df", "find", "grep", "gzip", "head", "id", "ls", "od", "readlink", "sed", "sha256sum"),
    *("dd", "nproc", "sort", "stat", "tail", "tee", "timeout", "touch", "tr", "true", "uname", "uniq", "wc", "xargs"),
)
"""What else busybox has of what it needs, for a machine that has nothing but busybox."""

KILLS = ("kill-before", "kill-after", "kill-torn", "kill-alone")
CUTS = ("cut-before", "cut-after")
_ROOM = "/run/faults"
_FIRST_IN_PATH = "/usr/local/sbin"
_WRAPPER = Path(__file__).with_name("wrapper.sh")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is to happen at which call of a wrapped tool, counted from 1; see wrapper.sh for the kinds."""

    kind: str
    at: int

    @property
    def cuts(self) -> bool:
        """Whether it ends the whole machine."""
        return self.kind in CUTS


def arm(machine: Machine, fault: Fault | None = None, *, busybox: bool = False) -> None:
    """Lay the wrappers; without a fault they only count. They are there until :func:`disarm`.

    ``sleep`` is short from now on: the health gate naps between its questions, and many hundred times in all. It is not
    so short that the gate asks without a pause where nothing gets well.
    """
    machine.put(f"{_FIRST_IN_PATH}/sleep", b"#!/bin/sh\nexec /bin/sleep 0.1\n", 0o755)
    machine.put(f"{_ROOM}/wrapper", _WRAPPER.read_bytes(), 0o755)
    machine.put(f"{_ROOM}/plan", f"{fault.kind} {fault.at}\n".encode() if fault else b"count 0\n")
    machine.put(f"{_ROOM}/count", b"0\n")
    everything = " ".join((*TOOLS, *APPLETS))
    links = "".join(f"ln -s {_ROOM}/wrapper {tool}; " for tool in TOOLS)
    if busybox:
        links += f"touch {_ROOM}/busybox; " + "".join(f"ln -s /bin/busybox {applet}; " for applet in APPLETS)
    machine.run(
        "/bin/sh", "-ec", f"cd {_FIRST_IN_PATH}; rm -f {everything}; {links}", check=True, env={"PATH": "/bin:/usr/bin"}
    )


def disarm(machine: Machine) -> None:
    """Take the wrappers away, and what they have done to the disk."""
    machine.run("/bin/sh", "-c", "mount -o remount,bind,rw /; /bin/rm -rf /var/tmp/filler*", env={"PATH": "/bin"})
    tools = " ".join(f"{_FIRST_IN_PATH}/{tool}" for tool in (*TOOLS, *APPLETS))
    machine.run("/bin/sh", "-c", f"/bin/rm -rf {tools} {_ROOM}", check=True)


def calls(machine: Machine) -> tuple[str, ...]:
    """The calls that were counted since :func:`arm`, each its tool and its arguments."""
    lines = (machine.read(f"{_ROOM}/calls") or b"").decode().splitlines()
    return tuple(line.rstrip() for line in lines)


def strike(machine: Machine, argv: Sequence[str], fault: Fault) -> Answer | None:
    """Run ``argv`` with ``fault``; its answer, or None if that many calls were never made (it then ran to its end).

    After a cut the machine has been booted again.
    """
    with running(machine, argv, until="cut" if fault.cuts else "") as answers:
        if fault.cuts and (_seen_from_here(machine) / "cut").exists():
            machine.kill()
    if fault.cuts and answers[0].status < 0:
        machine.start()
        return answers[0]
    return answers[0] if (_seen_from_here(machine) / "fired").exists() else None


@contextlib.contextmanager
def running(machine: Machine, argv: Sequence[str], *, until: str) -> Iterator[list[Answer]]:
    """Run ``argv`` beside the block, which begins when the file ``until`` is there or the program has ended.

    Afterwards the list holds its answer.
    """
    answers: list[Answer] = []
    runner = threading.Thread(target=lambda: answers.append(machine.run("setsid", *argv)))
    marker = _seen_from_here(machine) / (until or "none")
    runner.start()
    while runner.is_alive() and not marker.exists():
        runner.join(0.005)
    try:
        yield answers
    finally:
        runner.join()


def _seen_from_here(machine: Machine) -> Path:
    return Path(f"/proc/{machine.leader}/root{_ROOM}")


def chosen(
    made: Sequence[str], *kinds: str, count: int = 10**6, always: str = "", only: str = "", share: float = 1
) -> tuple[Fault, ...]:
    """Faults at the first call of each different text in ``made``, the kinds taking turns.

    ``count`` of them, evenly spread; but more if there are more of the tools named in ``always``, and no others than
    of those in ``only``. Of all these a ``share``, evenly spread again, but of each kind one at least.
    """
    first = {call: number for number, call in reversed(list(enumerate(made, 1)))}
    numbers = sorted(number for call, number in first.items() if not only or call.split()[0] in only.split())
    named = [number for number in numbers if made[number - 1].split()[0] in always.split()]
    others = [number for number in numbers if number not in named]
    taken = _spread(named, min(share, 1) * len(named))
    wanted = share * max(count, len(named))
    taken += _spread(others, max(wanted, len(kinds)) - len(taken))
    return tuple(Fault(kind=kinds[place % len(kinds)], at=number) for place, number in enumerate(sorted(taken)))


def _spread(numbers: Sequence[int], count: float) -> list[int]:
    """So many of them, evenly spread."""
    room = max(0, min(round(count), len(numbers)))
    return [numbers[place * len(numbers) // room] for place in range(room)]

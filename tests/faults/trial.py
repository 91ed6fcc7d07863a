"""One operation, and what must hold when a fault has hit it."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.machine import Disk, Machine
from bundler.process import run
from faults.injection import KILLS, Fault, arm, calls, disarm, running, strike
from faults.judgement import Operation, bytes_kept, completed, handled, interrupted
from faults.portrait import portray, with_units_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Figures", "Operation", "Plan", "cut_power", "rehearse", "summary", "try_faults"]

AT_A_TIME = 2  # machines
_DISK = "48m,nr_inodes=4000"  # soon full
_LOCKED = 13
_PATIENCE = 200  # runs, while what a killed one has left behind holds the lock; readings of a disk in use


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``struck`` faults came about; ``kept`` and ``lost`` are bytes of the operator's."""

    struck: int
    problems: tuple[str, ...]
    kept: int
    lost: int


@dataclass(frozen=True)
class Figures:
    """What was done to the machines, for the README.

    A test's share goes with its report (``record`` is pytest's ``record_property``), because the process that prints
    the summary need not be the one that ran the test.
    """

    record: Callable[[str, object], None]

    def count(self, operation: str, outcome: Outcome) -> None:
        """Add the faults of one chain; none of them counts as survived if anything did not hold."""
        survived = 0 if outcome.problems else outcome.struck
        self.record("faults", (operation, outcome.struck, survived, outcome.kept, outcome.lost))


def summary(counted: Sequence[tuple[str, int, int, int, int]]) -> tuple[str, ...]:
    """A line for each operation, and one for all, of what :meth:`Figures.count` has recorded."""
    injected, survived, kept, lost = Counter[str](), Counter[str](), 0, 0
    for operation, struck, good, found, missed in counted:
        injected[operation] += struck
        survived[operation] += good
        kept += found
        lost += missed
    return (
        *(f"{operation:32} {injected[operation]:5} / {survived[operation]}" for operation in sorted(injected)),
        f"{'all':32} {injected.total():5} / {survived.total()}",
        f"bytes of state, settings and secrets: {kept} kept, {lost} lost",
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What :func:`rehearse` makes an :class:`Operation` of; the fields are its."""

    name: str
    argv: tuple[str, ...]
    rootfs: Path
    begin: Path
    units: tuple[str, ...]
    busybox: bool = False
    already: tuple[int, ...] = ()


def rehearse(plan: Plan) -> Operation:
    """Run it undisturbed."""
    with Machine(plan.rootfs, state=plan.begin) as machine:
        before = portray(machine, plan.rootfs, plan.units)
        arm(machine, busybox=plan.busybox)
        done = machine.run(*plan.argv)
        assert done.status == 0, done.stderr
        steps = calls(machine)
        disarm(machine)
        after = portray(machine, plan.rootfs, plan.units)
    return Operation(**vars(plan), before=before, after=after, calls=steps)


def try_faults(operation: Operation, chains: Iterable[Sequence[Fault]], figures: Figures) -> list[str]:
    """Try each chain of faults on a machine of its own; what did not hold, one line each.

    The second fault of a chain hits the same command when it is run again, and so on.
    """
    return _all_of(operation, chains, figures, _try)


def cut_power(operation: Operation, faults: Iterable[Fault], figures: Figures) -> list[str]:
    """Cut the power at each of ``faults``, which are cuts: only what was written to the disk by then is left."""
    return _all_of(operation, ((fault,) for fault in faults), figures, _try_power_cut)


def _all_of(
    operation: Operation,
    chains: Iterable[Sequence[Fault]],
    figures: Figures,
    try_one: Callable[[Operation, Sequence[Fault]], Outcome],
) -> list[str]:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        outcomes = tuple(pool.map(lambda chain: try_one(operation, chain), chains))
    for outcome in outcomes:
        figures.count(operation.name, outcome)
    return [line for outcome in outcomes for line in outcome.problems]


def _try(operation: Operation, chain: Sequence[Fault]) -> Outcome:
    struck, problems = 0, []
    with Machine(operation.rootfs, state=operation.begin, disk=Disk(size=_DISK)) as machine:
        operation = replace(operation, before=with_units_of(machine, operation.before))
        for fault in chain:
            arm(machine, fault, busybox=operation.busybox)
            answer = strike(machine, operation.argv, fault)
            if answer is None:
                break
            struck += 1
            disarm(machine)
            now = portray(machine, operation.rootfs, operation.units)
            if fault.kind == "fail":
                problems += handled(operation, now, fault, answer)
            else:
                problems += interrupted(operation, now, same_process=all(one.kind in KILLS for one in chain[:struck]))
        return _finish(operation, machine, chain, struck, problems)


def _try_power_cut(operation: Operation, chain: Sequence[Fault]) -> Outcome:
    with tempfile.TemporaryDirectory() as room:
        disk, left = Path(room, "disk"), Path(room, "left")
        run(["truncate", "--size=64M", disk])
        run(["mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard", disk])
        with Machine(operation.rootfs, state=operation.begin, disk=Disk(image=disk)) as machine:
            arm(machine, chain[0], busybox=operation.busybox)
            with running(machine, operation.argv, until="cut"):
                _write_names(machine)
                left.write_bytes(_at_one_moment(disk))
                machine.kill()
        with Machine(operation.rootfs, disk=Disk(image=left)) as machine:
            now = portray(machine, operation.rootfs, operation.units)
            problems = interrupted(operation, now, same_process=False)
            return _finish(operation, machine, chain, 1, problems)


def _write_names(machine: Machine) -> None:
    """Commit the journal of its disk: all names, and the content of those files only that were synced by then.

    As the kernel does once in a while, which is the worst moment for a cut.
    """
    with (machine.upper.parent / "mark").open("wb") as mark:
        os.fsync(mark.fileno())


def _at_one_moment(disk: Path) -> bytes:
    """What is on a disk that a machine has in use.

    One reading may have blocks of before a checkpoint and the journal of after it, which no power cut leaves. What two
    readings find alike was so all the time between them.
    """
    for _ in range(_PATIENCE):
        found = disk.read_bytes()
        if found == disk.read_bytes():
            return found
    raise AssertionError(f"{disk} is written to without a pause")


def _finish(
    operation: Operation, machine: Machine, chain: Sequence[Fault], struck: int, problems: Sequence[str]
) -> Outcome:
    """Run the command again, to its end."""
    found = [f"after it: {line}" for line in problems]
    disarm(machine)
    for _ in range(_PATIENCE):
        done = machine.run(*operation.argv)
        if done.status != _LOCKED:
            break
    end = portray(machine, operation.rootfs, operation.units)
    if done.status not in (0, *operation.already):
        found.append(f"again: exit {done.status}: {done.stderr}")
    else:
        found += [f"in the end: {line}" for line in completed(operation, end)]
    kept, lost = bytes_kept(operation, end)
    where = " then ".join(f"{fault.kind} at {fault.at} ({operation.step(fault.at)})" for fault in chain)
    return Outcome(
        struck=struck, problems=tuple(f"{operation.name}: {where}: {line}" for line in found), kept=kept, lost=lost
    )

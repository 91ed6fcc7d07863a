"""What must hold after a fault, and what must hold in the end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faults.portrait import Portrait, changes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.machine import Answer
    from faults.injection import Fault

__all__ = ["Operation", "bytes_kept", "completed", "handled", "interrupted"]

_HANDLED = (10, 11, 12, 14, 15, 16)

# All for a bundle named `hello`. Before there is a transaction record only these may differ, and of what was there
# before only what grows.
_PRIVATE = re.compile(
    r"opt/hello(/(releases|envs)(/(\.\S+\.partial|[\da-f]\S*)(/.*)?)?)?"
    r"|var/lib/conda-bundler(/hello(/\.?(owned|secrets\.before)(\.new)?|/\.transaction\.new)?)?"
    r"|etc/hello(/\.?(hello|secrets)\.env(\.new)?)?"
    r"|etc/(passwd|group|shadow|gshadow)"
    r"|usr/local/lib/systemd/system/\.hello[a-z0-9@.-]*\.new"  # taken back at boot; systemd reads none
)
_GROWING = re.compile(r"var/lib/conda-bundler/hello/owned|etc/hello/secrets\.env|etc/(passwd|group|shadow|gshadow)")
# From then on, these too.
_VISIBLE = re.compile(
    r"usr/local/lib(/systemd(/system(/\.?hello[a-z0-9@.-]*)?)?)?|etc/systemd/system/[a-z.-]+\.wants(/hello[a-z0-9@.-]*)?"
    r"|opt/hello/\.?(current|history|manage)(\.new)?|var/(lib|log|cache)/hello(/.*)?"
    r"|var/lib/conda-bundler/hello/transaction"
)
_RECORD = "var/lib/conda-bundler/hello/transaction"
_CURRENT = "opt/hello/current"
_SAID = ("opt/hello/history", "opt/hello/manage")
_OPERATORS = re.compile("(etc|var/lib)/hello/")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A command on a machine in a known state, and what it does there undisturbed."""

    name: str
    rootfs: Path
    begin: Path
    """The machine's state before, as :meth:`Machine.snapshot` makes it."""
    argv: tuple[str, ...]
    units: tuple[str, ...]
    before: Portrait
    after: Portrait
    calls: tuple[str, ...]
    """Of the tools in :data:`faults.injection.TOOLS`, in order."""
    busybox: bool
    already: tuple[int, ...]
    """How it may end, beside with 0, when it is run again although it had come to its end."""

    @property
    def commits(self) -> int:
        """The call that puts the transaction record: what ends before it is undone, what comes after goes back."""
        return next(number for number, call in enumerate(self.calls, 1) if re.search(r"^mv .*/transaction$", call))

    def step(self, number: int) -> str:
        """The call of that number, shortened."""
        return self.calls[number - 1][:70] if number <= len(self.calls) else "?"


def interrupted(operation: Operation, now: Portrait, *, same_process: bool) -> list[str]:
    """The script or the machine was killed: the old release serves, or the new one, and outsiders see no mixture.

    ``same_process``: where nothing has changed, not even a process has.
    """
    before, after = operation.before, operation.after
    recorded = _RECORD in now.files
    rotated = now.secrets != before.secrets and now.secrets == after.secrets
    ended = not recorded and (rotated or now.files.get(_CURRENT) != before.files.get(_CURRENT))
    differing = changes(after.settled, now.settled) if ended else changes(before.settled, now.settled)
    if not ended and not same_process:
        # It went back by itself, and has said so.
        differing = {path: what for path, what in differing.items() if path not in _SAID}
    allowed = _only(_PRIVATE, differing).keys() | (_only(_VISIBLE, differing).keys() if recorded else set())
    problems = [f"{path}: {what}" for path, what in differing.items() if path not in allowed]
    problems += [
        f"{path} was there before: {what}"
        for path, what in _only(_PRIVATE, differing).items()
        if not what.startswith("nothing")
        and not _GROWING.fullmatch(path)
        and before.files.get(path) == after.files.get(path)
    ]
    if recorded:
        problems += _serve_one_of_two(operation, now)
    else:
        problems += _same_units(after if ended else before, now, same_process=same_process and not ended)
    return problems + _secrets_lost(operation, now)


def handled(operation: Operation, now: Portrait, fault: Fault, answer: Answer) -> list[str]:
    """One call failed and the script went on: it either did without, or undid all, or went back."""
    before = operation.before
    if answer.status == 0:
        return completed(operation, now)
    problems = [] if answer.status in _HANDLED else [f"exit {answer.status}"]
    differing = changes(before.files, now.files)
    if fault.at <= operation.commits:
        problems += [f"not undone: {path}: {what}" for path, what in differing.items()]
        return problems + _same_units(before, now, same_process=True)
    if not any(serving.runs for serving in before.units.values()):
        return problems + [
            f"{unit} is left {serving.state}, {serving.enabled}"
            for unit, serving in now.units.items()
            if serving.state == "active" or serving.enabled == "enabled"
        ]
    problems += [
        f"not taken back: {path}: {what}"
        for path, what in differing.items()
        if not _PRIVATE.fullmatch(path) and path not in _SAID
    ]
    return problems + _same_units(before, now, same_process=False)


def completed(operation: Operation, now: Portrait) -> list[str]:
    """What an undisturbed run leaves, and no more."""
    differing = changes(operation.after.settled, now.settled)
    problems = [f"{path}: {what}" for path, what in differing.items()]
    problems += _same_units(operation.after, now, same_process=False)
    return problems + _secrets_lost(operation, now)


def bytes_kept(operation: Operation, now: Portrait) -> tuple[int, int]:
    """How many bytes of the settings, secrets and state that should stay are as they were, and how many are not."""
    kept = lost = 0
    for path, line in operation.before.files.items():
        if not _OPERATORS.match(path) or path not in operation.after.files:
            continue
        as_it_should_be = (line, operation.after.files[path])  # a hook changes the data
        if now.files.get(path) in as_it_should_be or (
            path.endswith("secrets.env") and not _secrets_lost(operation, now)
        ):
            kept += operation.before.sizes[path]
        else:
            lost += operation.before.sizes[path]
    return kept, lost


def _only(pattern: re.Pattern[str], differing: Mapping[str, str]) -> dict[str, str]:
    return {path: what for path, what in differing.items() if pattern.fullmatch(path)}


def _serve_one_of_two(operation: Operation, now: Portrait) -> list[str]:
    """Each process is of one of the two releases, whole on the disk; what served before and will after, serves."""
    before, after = operation.before, operation.after
    problems = []
    for unit, serving in now.units.items():
        possible = {portrait.units[unit].runs for portrait in (before, after)}
        if serving.runs and (serving.runs not in possible or not _is_whole(operation, now, serving.runs)):
            problems.append(f"{unit} runs {serving.runs}, which is not one whole release")
        if "" not in possible and serving.state != "active":
            problems.append(f"{unit} is {serving.state}")
    return problems


def _is_whole(operation: Operation, now: Portrait, release: str) -> bool:
    top = f"opt/hello/releases/{release}/"

    def tree(portrait: Portrait) -> dict[str, str]:
        environment = portrait.files.get(f"{top}env", "").removeprefix("link to ../../")
        tops = (top, f"opt/hello/{environment}/")
        return {path: line for path, line in portrait.files.items() if path.startswith(tops)}

    whole = tree(now)
    marks = {path for path in whole if path.endswith(("/.complete", "/.conda-bundler/complete"))}
    return whole in (tree(operation.before), tree(operation.after)) and len(marks) == 2


def _same_units(expected: Portrait, now: Portrait, *, same_process: bool) -> list[str]:
    return [
        f"{unit} is {serving}, not {expected.units[unit]}"
        for unit, serving in now.units.items()
        if serving.lasting != expected.units[unit].lasting or (same_process and serving.pid != expected.units[unit].pid)
    ]


def _secrets_lost(operation: Operation, now: Portrait) -> list[str]:
    """Each secret of before has its value, or the one that the operation gives it."""
    return [
        f"secret {name} is not what it was"
        for name, value in operation.before.secrets.items()
        if now.secrets.get(name) not in (value, operation.after.secrets.get(name))
    ]

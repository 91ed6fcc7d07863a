"""What an update from one bundle to another changes, for those who approve it and for the server's operator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from bundler.reader.diff import diff
from bundler.reader.inspect import inspect
from bundler.report.rights import rights
from bundler.sharing.shared import described

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bundler.audit.report import Audit, Finding
    from bundler.bundle.index import Manifest
    from bundler.reader.diff import Change, Difference
    from bundler.reader.inspect import Inspection
    from bundler.report.rights import Right
    from bundler.units.read import UnitText

__all__ = ["Changes", "Holes", "PackageChange", "Task", "UnitChange", "changes"]

_REQUIRED = {
    "glibc": "glibc",
    "kernel": "Linux",
    "processor": "a processor of the level",
    "CUDA": "CUDA",
    "compute capability": "GPUs of compute capability",
    "systemd": "systemd",
}
_ANOTHER = {
    "name": "It is a different bundle: it is installed next to the old one, and takes over nothing from it",
    "platform": "It is for a different architecture: it does not run where the old one does",
    "root": "It is installed in a different directory, next to the old one",
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something that an operator has to know: our sentence, in which each ``{}`` is replaced with one of ``values``,
    which come from the bundle.

    ``act``: the operator has to do or decide something.
    """

    text: str
    values: tuple[str, ...] = ()
    act: bool = False

    def parts(self) -> Iterator[tuple[str, str]]:
        """The parts of the sentence, each with the value that follows it; the last one has none."""
        yield from zip_longest(self.text.split("{}"), self.values, fillvalue="")


@dataclass(frozen=True, kw_only=True)
class PackageChange:
    """Sizes are those in the payload, in bytes."""

    change: Change
    name: str
    old_size: int
    new_size: int


@dataclass(frozen=True, kw_only=True)
class UnitChange:
    """A service's unit: the permissions that are new, and those that they replace."""

    name: str
    kind: Literal["added", "removed", "changed"]
    now: tuple[Right, ...]
    before: tuple[Right, ...]


@dataclass(frozen=True, kw_only=True)
class Holes:
    """Known vulnerabilities from both audits: those that the update fixes, introduces, and leaves."""

    ended: tuple[Finding, ...]
    brought: tuple[Finding, ...]
    left: tuple[Finding, ...]
    audit: Audit


@dataclass(frozen=True, kw_only=True)
class Changes:
    difference: Difference
    before: Inspection
    after: Inspection
    tasks: tuple[Task, ...]
    packages: tuple[PackageChange, ...]
    units: tuple[UnitChange, ...]
    holes: Holes | None


def changes(old: Path, new: Path, audits: tuple[Audit, Audit] | None = None) -> Changes:
    """Raises what :func:`bundler.reader.diff.diff` raises."""
    difference, before, after = diff(old, new), inspect(old), inspect(new)
    units = tuple(_units(before, after))
    return Changes(
        difference=difference,
        before=before,
        after=after,
        tasks=tuple(_tasks(difference, before.manifest, after.manifest, units)),
        packages=tuple(_packages(difference, before.manifest, after.manifest)),
        units=units,
        holes=_holes(*audits) if audits else None,
    )


def _packages(difference: Difference, before: Manifest, after: Manifest) -> Iterator[PackageChange]:
    old, new = before.packed(), after.packed()
    for change in difference.packages:
        key = change.name
        name = described(key) if key.startswith("pip:") else key
        yield PackageChange(change=change, name=name, old_size=old.get(key, 0), new_size=new.get(key, 0))


def _units(before: Inspection, after: Inspection) -> Iterator[UnitChange]:
    old = {unit.name: unit for unit in before.units if unit.is_service}
    new = {unit.name: unit for unit in after.units if unit.is_service}
    for name in sorted(old.keys() | new.keys()):
        was, now = _rights(before, old.get(name)), _rights(after, new.get(name))
        if name not in old:
            yield UnitChange(name=name, kind="added", now=now, before=())
        elif name not in new:
            yield UnitChange(name=name, kind="removed", now=(), before=was)
        elif was != now:
            yield UnitChange(
                name=name,
                kind="changed",
                now=tuple(one for one in now if one not in was),
                before=tuple(one for one in was if one not in now),
            )


def _rights(found: Inspection, unit: UnitText | None) -> tuple[Right, ...]:
    return rights(unit, partial(found.reason, unit)) if unit else ()


def _tasks(difference: Difference, before: Manifest, after: Manifest, units: Sequence[UnitChange]) -> Iterator[Task]:
    """What to do comes first."""
    if not difference.different:
        yield Task(text="Nothing changes: it is the same release")
        return
    found = [*_of_server(difference, before, after)]
    if before.name != after.name:  # the old bundle is not affected
        yield from found
        return
    found += [*_of_values(difference, after), *_of_services(before, after, units)]
    yield from sorted(found, key=lambda one: not one.act)
    yield Task(
        text="The services are restarted; if one is unhealthy afterwards, the old release is restored automatically"
    )


def _of_server(difference: Difference, before: Manifest, after: Manifest) -> Iterator[Task]:
    changed = {change.name: change for change in difference.options}
    for key, text in _ANOTHER.items():
        if key in changed:
            yield Task(text=f"{text}: {{}} instead of {{}}", values=_both(changed[key]), act=True)
    for key, what in _REQUIRED.items():
        if key in changed and changed[key].new:
            yield Task(
                text=f"The server must have {what} {{}} or later; before: {{}}", values=_both(changed[key]), act=True
            )
    if "GPU" in changed and changed["GPU"].new:
        yield Task(text="The server must have a GPU now", act=True)
    known = {library.soname for library in before.requires.libraries if library.need == "required"}
    for library in after.requires.libraries:
        if library.need == "required" and library.soname not in known:
            package, values = (" (Debian: {})", (library.debian,)) if library.debian else ("", ())
            yield Task(text="The server must have {}" + package, values=(library.soname, *values), act=True)


def _of_values(difference: Difference, after: Manifest) -> Iterator[Task]:
    file = f"/etc/{after.name}/{after.name}.env"
    for change in difference.config:
        name = change.name
        if change.kind == "added":
            yield Task(
                text="New setting {}, default {}: to change it, set it in {}",
                values=(name, change.new or "", file),
            )
        elif change.kind == "removed":
            yield Task(text="The setting {} no longer has a default; a line in {} is kept", values=(name, file))
        else:
            text = "The default of {} is {} instead of {}, unless {} says otherwise"
            yield Task(text=text, values=(name, *_both(change), file))
    for change in difference.secrets:
        name = change.name
        if change.kind == "added":
            text = "New secret {}: install.sh generates it, unless you provide it with {}"
            yield Task(text=text, values=(name, f"--secret {name}=FILE"), act=True)
        elif change.kind == "removed":
            yield Task(text="The secret {} is no longer used; its value is kept on the server", values=(name,))
        else:
            text = "The declaration of the secret {} is now {} instead of {}; its value is kept until {}"
            yield Task(text=text, values=(name, *_both(change), f"manage rotate-secret {name}"), act=True)


def _of_services(before: Manifest, after: Manifest, units: Sequence[UnitChange]) -> Iterator[Task]:
    old = {service.unit: service for service in before.services}
    new = {service.unit: service for service in after.services}
    for unit in sorted(new.keys() - old.keys()):
        yield Task(text="New service {}: install.sh enables it", values=(unit,))
    for unit in sorted(old.keys() - new.keys()):
        yield Task(text="The service {} no longer exists: it is stopped and removed", values=(unit,), act=True)
    for unit in sorted(old.keys() & new.keys()):
        if old[unit].own_user != new[unit].own_user:
            yield Task(
                text="{} runs as a different user: {}", values=(unit, new[unit].own_user or after.name), act=True
            )
        listened = [one.socket.listen if one.socket else "no socket" for one in (old[unit], new[unit])]
        if listened[0] != listened[1]:
            yield Task(
                text="systemd listens for {} on {} instead of {}", values=(unit, listened[1], listened[0]), act=True
            )
    for one in units:
        if one.kind == "changed" and any(right.loosened for right in one.now):
            text = "{} is less sandboxed than by default, in ways that have changed"
            yield Task(text=text, values=(one.name,), act=True)
    yield from _of_hooks(before, after)


def _of_hooks(before: Manifest, after: Manifest) -> Iterator[Task]:
    known = {(hook.key, hook.command) for hook in before.hooks}
    for hook in after.hooks:
        if (hook.key, hook.command) not in known:
            values = (hook.key, " ".join(hook.command), hook.service, str(hook.timeout))
            yield Task(text="The hook {} runs {} as {}, within {} s", values=values)


def _both(change: Change) -> tuple[str, str]:
    """The new value and the old one."""
    return change.new or "none", change.old or "none"


def _holes(before: Audit, after: Audit) -> Holes:
    """Vulnerabilities are the same if their name and project are, whatever the version."""
    old = {(one.id, one.component): one for one in before.findings if one.status != "ignored"}
    new = {(one.id, one.component): one for one in after.findings if one.status != "ignored"}
    return Holes(
        ended=tuple(one for key, one in old.items() if key not in new),
        brought=tuple(one for key, one in new.items() if key not in old),
        left=tuple(one for key, one in new.items() if key in old),
        audit=after,
    )

"""What is in a bundle, for whoever is to install it. It is read, not verified: that is :mod:`bundler.reader.verify`."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.printable import counted, printable
from bundler.reader.open import open_bundle
from bundler.reader.telling import columns, size
from bundler.sharing.shared import described
from bundler.units.read import UnitText

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bundler.bundle.entries import LibraryUserEntry, NoteEntry, OverrideEntry, PackageEntry, SharedEntry
    from bundler.bundle.index import Manifest

__all__ = ["Inspection", "inspect", "note_text"]

_WIDTH = 110
_LARGEST = 10
_SHARED = 20
_TOOLS = {"gzip": ("gzip",), "zstd": ("zstd",), "xz": ("xz",), "none": ()}
"""What the target decompresses with, by the payload's codec."""
_NOTES = {
    "clobber": "{owner}'s copy is used instead of {package}'s",
    "pre-link": "{package}'s pre-link script was not run",
    "post-link": "{package}'s post-link script was not run",
    "baked": (
        "{package}'s link script wrote the release's path into this file; it will be wrong with install.sh --prefix"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A bundle's manifest, its units and its files with their sizes in bytes; ``size`` is the bundle's."""

    bundle: str
    form: str
    size: int
    manifest: Manifest
    units: tuple[UnitText, ...]
    files: tuple[tuple[str, int], ...]

    def lines(self) -> list[str]:
        """For people."""
        manifest = self.manifest
        return [
            printable(f"{manifest.name} {manifest.version} for {manifest.platform}: {manifest.description}"),
            *columns(self._summary()),
            *_section("required libraries on the server", columns(self._libraries())),
            *_section("services", self._services()),
            *_section("hooks, run before and after a switch of releases", self._hooks()),
            *_section("units", self._units()),
            *_section("default settings", columns(list(manifest.config.items()))),
            *_section(
                "secrets, generated on the server", columns([(one.name, one.form()) for one in manifest.secrets])
            ),
            *_section(f"packages: {len(manifest.packages)}", self._packages()),
            *_section("largest files", columns(self._largest(), right={1})),
            *_section("notes", columns([(note.path, note_text(note)) for note in manifest.notes])),
            *_section("files provided by several packages", self._shared()),
            *_section("link scripts that ran at build time", columns(self._scripts())),
            *_section("bundle files", columns([(name, size(count)) for name, count in self.files], right={1})),
        ]

    def document(self) -> dict[str, Any]:
        """For ``--json``: the manifest, less what only a program that unpacks needs, and what was seen beside it."""
        manifest = self.manifest
        packed = manifest.packed()
        said = manifest.model_dump(mode="json", by_alias=True, exclude={"packages": True, "payload": {"segments"}})
        packages = [
            package.model_dump(mode="json") | {"channel": package.channel, "packed": packed.get(package.key, 0)}
            for package in manifest.packages
        ]
        units = [
            {
                "name": unit.name,
                "directives": [list(directive) for directive in unit.directives],
                "confinement": [list(directive) for directive in unit.confinement],
                "exceptions": [
                    {"directive": key, "stands": how, "reason": self.reason(unit, key)}
                    for key, how in _exceptions(unit)
                ],
            }
            for unit in self.units
        ]
        said["requires"]["tools"] = list(self.tools())
        return said | {
            "bundle": self.bundle,
            "form": self.form,
            "size": self.size,
            "packages": packages,
            "units": units,
            "files": [{"path": name, "size": count} for name, count in self.files],
        }

    def _summary(self) -> list[tuple[str, str]]:
        manifest, payload = self.manifest, self.manifest.payload
        compiled = payload.bytecode or "unknown"
        return [
            ("bundle", f"{self.bundle} ({self.form}, {size(self.size)})"),
            ("release", f"{manifest.release}, built by {manifest.made_by}"),
            ("root", f"{manifest.root}; {manifest.release_dir}"),
            ("size", f"{size(payload.size)} packed ({payload.codec}), {size(payload.unpacked_size)} unpacked"),
            ("", f"{counted(payload.files, 'file or link', 'files and links')}, bytecode: {compiled}"),
            ("requires", ", ".join(manifest.requires.lines())),
            ("", f"sh, {', '.join(self.tools())}, and coreutils, grep and sed, or busybox"),
            *([("includes", self._brings())] if manifest.decompressor else []),
            ("tree", f"sha256 {manifest.tree_digest}"),
        ]

    def tools(self) -> tuple[str, ...]:
        """The programs beside the usual ones that install.sh needs on a server."""
        return ("tar", *(("gzip",) if self.manifest.decompressor else _TOOLS[self.manifest.payload.codec]))

    def _brings(self) -> str:
        codec, brought = self.manifest.payload.codec, self.manifest.decompressor
        return printable(f"{brought.program if brought else ''}, included for servers without {codec}: {brought}")

    def _libraries(self) -> list[tuple[str, str, str]]:
        rows = []
        for one in self.manifest.requires.libraries:
            first = ", ".join(filter(None, (one.need, one.because)))
            users = [_user(user) for user in one.needed_by] or [""]
            rows += [(one.soname, first, users[0]), *(("", "", user) for user in users[1:])]
        return rows

    def _services(self) -> list[str]:
        rows = []
        for service in self.manifest.services:
            unit = next((unit for unit in self.units if unit.name == service.unit), None)
            if unit is not None:
                said = self.told_of(unit)
                rows += [("" if number else service.unit, *row) for number, row in enumerate(said)]
            asked = ((service.health or {}).get(kind) for kind in ("http", "tcp", "command"))
            rows += [("", "override", self._short(_override(one))) for one in service.overrides]
            rows += [("", "health", one if isinstance(one, str) else " ".join(one)) for one in asked if one]
        return columns(rows)

    def _hooks(self) -> list[str]:
        return columns(
            [
                (hook.key, f"{' '.join(hook.command)} (as {hook.service}, within {hook.timeout} s)")
                for hook in self.manifest.hooks
            ]
        )

    def told_of(self, unit: UnitText) -> list[tuple[str, str]]:
        """What a service's unit runs, as whom and how often: pairs of a word and a value."""
        burst, interval = unit.get("Unit", "StartLimitBurst"), unit.get("Unit", "StartLimitIntervalSec")
        limits = [f"{key}={unit.get('Service', key)}" for key in _limits(unit)]
        again = unit.get("Service", "Restart", "no")
        if again != "no":
            again += f", after {unit.get('Service', 'RestartSec', '0.1')} s"
        before = [value for at, key, value in unit.directives if (at, key) == ("Service", "ExecStartPre")]
        reloads = [value for at, key, value in unit.directives if (at, key) == ("Service", "ExecReload")]
        return [
            *(("before", self._short(value)) for value in before),
            ("runs", self._short(unit.get("Service", "ExecStart"))),
            *([("instances", unit.instances)] if unit.instances else []),
            *(("reloads", self._short(value)) for value in reloads),
            ("as", f"{unit.get('Service', 'User', 'root')}, in {unit.get('Service', 'WorkingDirectory', '/')}"),
            ("restarts", again + (f"; gives up after {burst} starts in {interval} s" if burst and interval else "")),
            *([("limits", " ".join(limits))] if limits else []),
        ]

    def _units(self) -> list[str]:
        lines: list[str] = []
        seen: dict[tuple[tuple[str, str], ...], str] = {}
        for unit in self.units:
            like = seen.get(unit.confinement)
            if not unit.is_service or like:
                lines.append(f"  {unit.name}" + (f": sandboxed like {like}" if like and unit.is_service else ""))
            else:
                seen[unit.confinement] = unit.name
                lines += self._confinement(unit)
        return [printable(line) for line in lines]

    def _confinement(self, unit: UnitText) -> list[str]:
        exceptions = _exceptions(unit)
        rows = [(key, ": ".join(filter(None, (how, self.reason(unit, key))))) for key, how in exceptions]
        said = " ".join(f"{key}={value}".replace(" ", ",") for key, value in unit.confinement)
        return [
            f"  {unit.name}: sandboxed{', except' if exceptions else ' with the defaults'}",
            *columns(rows, indent="    ! "),
            *textwrap.wrap(said, _WIDTH, initial_indent="    ", subsequent_indent="    "),
        ]

    def reason(self, unit: UnitText, directive: str) -> str:
        """Why this directive of a unit's is not as usual, as far as the build knows."""
        hooked = {hook.service for hook in self.manifest.hooks if hook.unit == unit.name}
        owners = (
            one
            for one in self.manifest.services
            if unit.name in (one.unit, one.health_unit, one.watch_unit, one.gpu_unit) or one.unit in hooked
        )
        return next((one.reason(unit.name, directive) for one in owners), "")

    def _short(self, text: str) -> str:
        return text.replace(f"{self.manifest.release_dir}/", "")

    def _packages(self) -> list[str]:
        packed = self.manifest.packed()
        heading = ("name", "version", "build", "archive", "packed", "channel")
        rows = [
            (
                one.name,
                one.version,
                one.build,
                size(one.size),
                size(packed.get(one.key, 0)),
                _origin(one),
            )
            for one in self.manifest.packages
        ]
        return columns([heading, *rows], right={3, 4})

    def _shared(self) -> list[str]:
        """Those that differ first: there are more of them in the manifest than anyone reads."""
        shared = sorted(self.manifest.shared, key=lambda one: (one.same, not one.chosen))
        more = [("", f"and {len(shared) - _SHARED} more: use inspect --json")] if len(shared) > _SHARED else []
        return columns([*((one.path, _told(one)) for one in shared[:_SHARED]), *more])

    def _scripts(self) -> list[tuple[str, str]]:
        """The first of the paths that each script has written to; all of them are in the document."""
        rows = []
        for done in self.manifest.link_scripts:
            changes = (("added", done.added), ("changed", done.changed), ("removed", done.removed))
            paths = [f"{verb} {path}" for verb, found in changes for path in found] or ["nothing changed"]
            more = [f"and {len(paths) - _LARGEST} more"] if len(paths) > _LARGEST else []
            heads = [f"{done.package}, {done.script}", *([""] * _LARGEST)]
            rows += list(zip(heads, [*paths[:_LARGEST], *more], strict=False))
        return rows

    def _largest(self) -> list[tuple[str, str]]:
        return [(file.path, size(file.size)) for file in self.manifest.payload.largest[:_LARGEST]]


def inspect(path: Path) -> Inspection:
    """Look into a bundle. Raises what :func:`bundler.reader.open.open_bundle` raises."""
    bundle = open_bundle(path)
    services = [f"units/{service.unit}" for service in bundle.manifest.services]
    names = sorted(bundle.below("units"), key=lambda name: (name not in services, name))
    return Inspection(
        bundle=str(path),
        form=bundle.form,
        size=bundle.size,
        manifest=bundle.manifest,
        units=tuple(UnitText.parse(name.removeprefix("units/"), bundle.text(name)) for name in names),
        files=tuple((name, bundle.pieces[name].size) for name in sorted(bundle.pieces)),
    )


def _section(heading: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", heading, *found] if found else []


def _override(entry: OverrideEntry) -> str:
    now = " ".join(entry.now) or "nothing"
    return f"{entry.directive}: {now}, instead of {' '.join(entry.ours)}"


def _exceptions(unit: UnitText) -> tuple[tuple[str, str], ...]:
    return unit.exceptions if unit.is_service else ()


def _limits(unit: UnitText) -> list[str]:
    names = ("MemoryMax", "CPUQuota", "TasksMax", "LimitNOFILE")
    return [name for name in names if unit.get("Service", name)]


def note_text(note: NoteEntry) -> str:
    """A note of the build's as a sentence."""
    text = _NOTES.get(note.kind, "{package}: " + note.kind.replace("{", "{{"))
    return text.format(package=note.package, owner=note.owner or "another package")


def _told(one: SharedEntry) -> str:
    others = ", ".join(map(described, one.others))
    chosen = ", chosen by bundle.owners" if one.chosen else ""
    return f"{described(one.owner)}{chosen}; {'the same file' if one.same else 'a different file'} in {others}"


def _user(user: LibraryUserEntry) -> str:
    more = f" and {user.files - 1} more" if user.files > 1 else ""
    return f"{user.package or 'no package'}: {user.path}{more}"


def _origin(package: PackageEntry) -> str:
    last = package.channel.rsplit("/", 1)[-1]
    origin = f"{last}/{package.subdir}" if package.subdir else f"{last}, a wheel"
    return f"{origin}, replaces {', '.join(package.replaces)}" if package.replaces else origin

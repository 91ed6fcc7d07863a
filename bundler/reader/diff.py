"""What changes when one bundle takes another's place. Both are read where they lie, neither is unpacked."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bundler.bundle.carried import summed
from bundler.printable import counted, printable
from bundler.reader.open import open_bundle, translated
from bundler.reader.telling import columns, difference, size
from bundler.reader.tree import app_tree
from bundler.sharing.shared import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.bundle.carried import Carried
    from bundler.bundle.entries import LibraryEntry, Option
    from bundler.bundle.index import Manifest
    from bundler.reader.open import OpenBundle

__all__ = ["Change", "Difference", "TextChange", "diff"]

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A name that stands for another value, or stands in one of the two only: the other is None then."""

    name: str
    old: str | None
    new: str | None

    @property
    def kind(self) -> str:
        return "added" if self.old is None else "removed" if self.new is None else "changed"

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"kind": self.kind}


@dataclass(frozen=True, kw_only=True)
class TextChange:
    """A file whose lines differ, as a unified diff; the release's own path stands as ``{release}``."""

    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Everything in which two bundles differ. ``sizes`` are bytes and counts, of both, whether they differ or not."""

    old: str
    new: str
    options: tuple[Change, ...]
    packages: tuple[Change, ...]
    config: tuple[Change, ...]
    secrets: tuple[Change, ...]
    app: tuple[Change, ...]
    shared: tuple[Change, ...]
    """Whose file is where packages have different ones."""
    texts: tuple[TextChange, ...]
    sizes: tuple[tuple[str, int, int], ...]
    same_tree: bool
    update: Carried | None = None
    """What an update from the old one to the new one would carry; None if one of them does not say what it has."""

    @property
    def different(self) -> bool:
        """Whether an installation would be another one."""
        return self._named or not self.same_tree

    @property
    def _named(self) -> bool:
        """Whether there is a name for anything that differs."""
        return any((self.options, self.packages, self.shared, self.config, self.secrets, self.app, self.texts))

    def lines(self) -> list[str]:
        """For people."""
        heading = printable(f"{self.old} -> {self.new}")
        if not self.different:
            return [heading, "  no difference"]
        sizes = [(name, difference(old, new)) for name, old, new in self.sizes if name != "files"]
        counts = [(name, f"{old} -> {new}") for name, old, new in self.sizes if name == "files"]
        return [
            heading,
            *columns([*sizes, *counts, *([("update", _carried(self.update))] if self.update else [])]),
            *(["  other bytes in the environment, from the same packages"] if not self._named else []),
            *_section("bundle", self.options),
            *_section("packages", self.packages),
            *_section("files provided by several packages", self.shared),
            *_section("defaults", self.config),
            *_section("secrets", self.secrets),
            *_section("app/", self.app, values=False),
            *[line for text in self.texts for line in ("", *map(printable, text.lines))],
        ]

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "old": self.old,
            "new": self.new,
            "different": self.different,
            "same_tree": self.same_tree,
            "options": [change.document() for change in self.options],
            "packages": [change.document() for change in self.packages],
            "shared": [change.document() for change in self.shared],
            "config": [change.document() for change in self.config],
            "secrets": [change.document() for change in self.secrets],
            "app": [change.document() for change in self.app],
            "texts": [asdict(text) for text in self.texts],
            "update": asdict(self.update) if self.update else None,
            "sizes": {name: {"old": old, "new": new} for name, old, new in self.sizes},
        }


def diff(old_path: Path, new_path: Path) -> Difference:
    """Compare two bundles. Raises what :func:`bundler.reader.open.open_bundle` raises."""
    old, new = open_bundle(old_path), open_bundle(new_path)
    before, after = old.manifest, new.manifest
    return Difference(
        old=f"{before.name} {before.release}",
        new=f"{after.name} {after.release}",
        options=_changes(_options(before, after), _options(after, before)),
        packages=_changes(_packages(before, after), _packages(after, before)),
        config=_changes(before.config, after.config),
        secrets=_changes(_secrets(before), _secrets(after)),
        app=_changes(_app(old), _app(new)),
        shared=_changes(_shared(before), _shared(after)),
        texts=_texts(old, new),
        sizes=(
            ("bundle", old.size, new.size),
            ("packed", before.payload.size, after.payload.size),
            ("unpacked", before.payload.unpacked_size, after.payload.unpacked_size),
            ("files", before.payload.files, after.payload.files),
        ),
        same_tree=before.tree_digest == after.tree_digest,
        update=summed((before,), after),
    )


def _carried(update: Carried) -> str:
    return f"{update.packages} of {counted(update.of, 'package')}, {size(update.size)}"


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Change, ...]:
    names = sorted(name for name in old.keys() | new if old.get(name) != new.get(name))
    return tuple(Change(name=name, old=old.get(name), new=new.get(name)) for name in names)


def _options(manifest: Manifest, other: Manifest) -> dict[str, str]:
    """What a bundle is as a whole, but for its build id: that differs whenever anything does.

    Of the keys of ``[bundle]`` those that both know; an older bundle does not tell all of them.
    """
    return {key: _said(value) for key, value in manifest.options.items() if key in other.options} | {
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "platform": manifest.platform,
        "root": manifest.root,
        "bytecode": manifest.payload.bytecode,
        "compression": manifest.payload.codec,
        "decompressor": str(manifest.decompressor or ""),
        "glibc": manifest.requires.glibc,
        "kernel": manifest.requires.linux,
        "processor": manifest.requires.archspec,
        "CUDA": manifest.requires.cuda,
        "compute capability": manifest.requires.cuda_arch,
        "GPU": "needed" if manifest.requires.gpu else "",
        "systemd": str(manifest.requires.systemd),
        "libraries": ", ".join(_library(one) for one in manifest.requires.libraries),
        "made by": manifest.made_by,
    }


def _said(value: Option) -> str:
    if isinstance(value, tuple):
        return " ".join("=".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
    return "" if value is None else str(value)


def _library(library: LibraryEntry) -> str:
    return library.soname if library.need == "required" else f"{library.soname} (optional)"


def _packages(manifest: Manifest, other: Manifest) -> dict[str, str]:
    """Version and build; the archive's digest as well where only that differs."""
    digests = {(package.key, package.version, package.build): package.sha256 for package in other.packages}
    found = {}
    for package in manifest.packages:
        theirs = digests.get((package.key, package.version, package.build), package.sha256)
        digest = "" if theirs == package.sha256 else f" sha256 {package.sha256}"
        found[package.key] = f"{package.version} {package.build}".rstrip() + digest
    return found


def _shared(manifest: Manifest) -> dict[str, str]:
    """Whose file is used, by its path; where all are the same it does not matter."""
    return {one.path: f"of {described(one.owner)}" for one in manifest.shared if not one.same}


def _secrets(manifest: Manifest) -> dict[str, str]:
    return {secret.name: secret.form() for secret in manifest.secrets}


def _app(bundle: OpenBundle) -> dict[str, str]:
    """Without the bytecode, which the build has made: whoever changes a module sees that."""
    with translated(bundle.path):
        own = (entry for entry in app_tree(bundle) if "/__pycache__/" not in entry.path)
        return {entry.path: f"{entry.mode:o} {entry.digest}" for entry in own}


def _texts(old: OpenBundle, new: OpenBundle) -> tuple[TextChange, ...]:
    names = sorted({*_names(old), *_names(new)})
    found = []
    for name in names:
        before, after = _text(old, name), _text(new, name)
        if before != after:
            lines = difflib.unified_diff(before, after, f"old/{name}", f"new/{name}", lineterm="")
            found.append(TextChange(path=name, lines=tuple(lines)))
    return tuple(found)


def _names(bundle: OpenBundle) -> tuple[str, ...]:
    """Units and the services' own environments; the defaults are told one by one."""
    defaults = f"config/{bundle.manifest.name}.env"
    return tuple(name for name in (*bundle.below("units"), *bundle.below("config")) if name != defaults)


def _text(bundle: OpenBundle, name: str) -> list[str]:
    """A unit's lines, without the comment that names the release; none if it is not there."""
    if name not in bundle.pieces:
        return []
    text = bundle.text(name).replace(bundle.manifest.release_dir, "{release}")
    return [line for line in text.splitlines() if not line.startswith("# ")]


def _section(heading: str, changes: Sequence[Change], *, values: bool = True) -> list[str]:
    if not changes:
        return []
    counts = ", ".join(
        f"{number} {kind}" for kind in _SIGNS if (number := sum(change.kind == kind for change in changes))
    )
    rows = [(_SIGNS[change.kind], change.name, *((_told(change),) if values else ())) for change in changes]
    return ["", f"{heading}: {counts}", *columns(rows)]


def _told(change: Change) -> str:
    if change.old is None or change.new is None:
        return change.new or change.old or ""
    return f"{change.old or 'none'} -> {change.new or 'none'}"

"""The files of conda packages in the prefix, and the order in which conda would link them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bundler.package.sitepackages import usual_site_packages
from bundler.sharing.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.fetch.archives import Archive
    from bundler.package.info import Entry, Index

__all__ = ["CondaFile", "CondaFiles", "conda_packages", "interpreter_of", "link_order"]

_NAME = re.compile(r"(?:[^\s:\[]*::)?([A-Za-z0-9_.-]+)")
"""The name in a dependency, ``channel::name version build``."""


@dataclass(frozen=True, kw_only=True)
class CondaFile:
    """A file or link, by its path below the prefix.

    ``entry`` is its package's record of it. An entry point (``command = module:function``) has none, because conda
    generates its script when it links the package; ``script`` is ``module:function``.
    """

    path: str
    entry: Entry | None
    script: str = ""

    @property
    def is_directory(self) -> bool:
        return self.entry is not None and self.entry.kind == "directory"

    @property
    def content(self) -> str:
        """A key that is equal for equal files, as in :func:`bundler.wheels.install.contents`; empty if unknown."""
        if self.script:
            return f"script {self.script}"
        entry = self.entry
        plain = entry is not None and entry.kind == "hardlink" and entry.placeholder is None
        return f"sha256 {entry.sha256}" if entry is not None and plain and entry.sha256 else ""


@dataclass(frozen=True, kw_only=True)
class CondaFiles:
    """A conda package and where its files go; ``site_packages`` is the environment's, below the prefix."""

    archive: Archive
    site_packages: str

    @property
    def key(self) -> str:
        return self.archive.package.key

    @cached_property
    def index(self) -> Index:
        return self.archive.index()

    def files(self) -> Iterator[CondaFile]:
        """Every file and link."""
        return (file for file in self.contents() if not file.is_directory)

    def contents(self) -> Iterator[CondaFile]:
        """Every file, link and directory. Read again each time, since keeping all packages' would take much memory."""
        for entry in self.archive.entries():
            path = self._place(entry.path) if self.index.noarch_python else entry.path
            yield CondaFile(path=path, entry=entry)
        for command, script in self.index.entry_points:
            yield CondaFile(path=f"bin/{command}", entry=None, script=script)

    def twins(self) -> Iterator[str]:
        """Paths at which two of its own files would be, which can happen only for files that are relocated.

        The linker would overwrite one with the other, and write an entry point's script through an existing link.
        """
        if not self.index.noarch_python:
            return
        seen: dict[str, CondaFile] = {}
        for file in self.files():
            if seen.setdefault(file.path, file) != file:
                yield file.path

    def _place(self, path: str) -> str:
        """Where a file of a noarch Python package goes (https://conda.org/learn/ceps/cep-0020)."""
        top, slash, rest = path.partition("/")
        place = {"site-packages": self.site_packages, "python-scripts": "bin"}.get(top, top)
        return f"{place}{slash}{rest}"


def conda_packages(archives: Iterable[Archive]) -> tuple[CondaFiles, ...]:
    """The conda packages among ``archives``, in their order."""
    conda = tuple(archive for archive in archives if archive.package.manager == "conda")
    python = next((archive.index() for archive in conda if archive.package.key == "python"), None)
    site_packages = (python.site_packages or usual_site_packages(python.version)) if python else ""
    return tuple(CondaFiles(archive=archive, site_packages=site_packages) for archive in conda)


def interpreter_of(packages: Iterable[CondaFiles]) -> Interpreter | None:
    """The environment's Python, if there is one."""
    for package in packages:
        if package.key == "python":
            return Interpreter.of(package.index, package.site_packages)
    return None


def link_order(packages: Iterable[CondaFiles]) -> tuple[str, ...]:
    """The packages' keys in the order in which conda links them: the last package that provides a path wins.

    conda links in generations, each sorted by name: isolated packages, then those without dependencies, then those
    whose dependencies are linked. py-rattler's order is depth-first, and reversed among unrelated packages, so a
    different package would win.
    """
    packages = tuple(packages)
    left = _needs(packages)
    names = {package.key: _full_name(package) for package in packages}
    bound = {name for needs in left.values() for name in needs}
    order = sorted(key for key, needs in left.items() if not needs and key not in bound)
    while left := {key: needs for key, needs in left.items() if key not in order}:
        placed = frozenset(order)
        ready = sorted(key for key, needs in left.items() if needs <= placed)
        # In a cycle, conda takes the package with the fewest unmet dependencies.
        order += ready or [min(left, key=lambda key: (len(left[key] - placed), names[key]))]
    return tuple(order)


def _needs(packages: Iterable[CondaFiles]) -> dict[str, frozenset[str]]:
    """The dependencies of each package among the others, as conda sees them."""
    depends = {
        package.key: {_name(text) for text in package.index.document.get("depends") or ()} for package in packages
    }
    needs = {key: names & depends.keys() for key, names in depends.items()}
    if "python" in needs:
        needs["python"].discard("pip")  # conda may make python depend on pip, which depends on python
        if "menuinst" in needs:  # conda links it first, since it creates the menus of the others
            for key, names in needs.items():
                if "python" in names and key not in needs["menuinst"]:
                    names.add("menuinst")
    return {key: frozenset(names - {key}) for key, names in needs.items()}


def _name(text: str) -> str:
    found = _NAME.match(text.strip())
    return found[1].lower() if found else ""


def _full_name(package: CondaFiles) -> str:
    locked = package.archive.package
    return f"{locked.channel}/{locked.subdir}::{locked.dist}"

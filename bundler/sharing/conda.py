"""What conda packages will have in the prefix, and in which order conda would link them."""

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

    ``entry`` is what its package says of it. An entry point (``command = module:function``) has none: conda makes its
    script when it links the package; ``script`` is ``module:function``.
    """

    path: str
    entry: Entry | None
    script: str = ""

    @property
    def is_directory(self) -> bool:
        return self.entry is not None and self.entry.kind == "directory"

    @property
    def content(self) -> str:
        """What is equal if the files are, as :func:`bundler.wheels.contents.contents` says it; empty: not known."""
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
        """Every file, link and directory. They are read anew each time: of all packages they would take much memory."""
        for entry in self.archive.entries():
            path = self._place(entry.path) if self.index.noarch_python else entry.path
            yield CondaFile(path=path, entry=entry)
        for command, script in self.index.entry_points:
            yield CondaFile(path=f"bin/{command}", entry=None, script=script)

    def twins(self) -> Iterator[str]:
        """Where two of its own files would be: only what goes elsewhere than it lies can meet there.

        The linker writes one over the other, and an entry point's script through a link that it finds.
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
    """The packages' keys in the order in which conda links them: the last of two that have a file has its own there.

    conda goes by generations: packages that nothing binds to others, then those that need nothing, then those that
    need only what came before, each generation sorted by name. py-rattler goes depth-first, and backwards among
    packages that have nothing to do with each other, so that another one wins.
    """
    packages = tuple(packages)
    left = _needs(packages)
    names = {package.key: _full_name(package) for package in packages}
    bound = {name for needs in left.values() for name in needs}
    order = sorted(key for key, needs in left.items() if not needs and key not in bound)
    while left := {key: needs for key, needs in left.items() if key not in order}:
        placed = frozenset(order)
        ready = sorted(key for key, needs in left.items() if needs <= placed)
        # Of a circle conda takes the one with the fewest needs that are not met yet.
        order += ready or [min(left, key=lambda key: (len(left[key] - placed), names[key]))]
    return tuple(order)


def _needs(packages: Iterable[CondaFiles]) -> dict[str, frozenset[str]]:
    """What each package needs of the others, as conda sees it."""
    depends = {
        package.key: {_name(text) for text in package.index.document.get("depends") or ()} for package in packages
    }
    needs = {key: names & depends.keys() for key, names in depends.items()}
    if "python" in needs:
        needs["python"].discard("pip")  # conda may have python need pip, which needs python
        if "menuinst" in needs:  # conda has it first, for menus of what follows
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

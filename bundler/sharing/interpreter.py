"""Paths reserved for Python itself: its standard library, its programs, and the files that configure its search path.

Modules there are imported before all others, by everything that runs this Python: services, the compilation of
bytecode, and root on the server. A new file need not conflict with any other path (``argparse/__init__.py`` is found
before ``argparse.py``), so deciding about single paths would not be enough.

Other packages may have ``config-*`` in the standard library, as libpython-static does: no module has such a name. Their
modules belong in site-packages, which comes after the standard library. ``bin/python*`` means only Python itself, not
``bin/python-argcomplete-check``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import PackError, PrefixError
from bundler.linkscripts.consent import without
from bundler.sharing.owners import plain
from bundler.sharing.shared import described

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.linkscripts.run import Effects
    from bundler.package.info import Index

__all__ = ["Interpreter", "check_effects", "trespass"]

_SHOWN = 10
_PROGRAM = re.compile(
    r"bin/python[0-9.]*[a-z]?"  # python, python3, python3.13t
    r"|(?:bin/)?(?:pyvenv\.cfg|pybuilddir\.txt)|bin/Modules(?:/.*)?"  # what getpath.py looks for beside it
    r"|(?:bin/|lib/)[^/]*\._pth|py[^/]*\._pth"
    r"|lib(?:64)?/python[0-9]+t?\.zip(?:/.*)?"  # comes first on sys.path
    r"|lib/libpython[0-9.]+[a-z]*\.so.*",
    re.DOTALL,
)
_OTHERS = (("pypy", re.compile(r"pypy[0-9.]*")), ("graalpy", re.compile(r"graalpy[0-9a-z.-]*")))
"""The packages of other implementations of Python, by their builds of ``python``."""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """An environment's Python: its standard library, which contains site-packages, and the names of its packages."""

    library: str
    site_packages: str
    owners: re.Pattern[str]

    @classmethod
    def of(cls, python: Index, site_packages: str) -> Interpreter:
        """The Python of the package ``python`` with this index.json."""
        others = [names.pattern for word, names in _OTHERS if word in python.build]
        return cls(
            library=site_packages.rpartition("/")[0],
            site_packages=site_packages,
            owners=re.compile("|".join(["python", *others])),
        )

    def owns(self, key: str) -> bool:
        """Whether the package with this key is a part of Python."""
        return self.owners.fullmatch(key) is not None

    def reserves(self, path: str) -> bool:
        """Whether only Python may have a file or link at ``path``."""
        if path.startswith(self.library):
            if path in (self.library, self.site_packages):
                return True
            if path.startswith(f"{self.library}/"):
                inside = path.removeprefix(f"{self.library}/")
                return not path.startswith(f"{self.site_packages}/") and not re.match(r"config-[^/]*/", inside)
        return path.startswith(("bin/", "lib", "py")) and _PROGRAM.fullmatch(path) is not None


def trespass(found: Iterable[tuple[str, str]]) -> PrefixError:
    """The error for packages' files (key and path) in directories reserved for Python."""
    lines = [f"{plain(path)}: {described(key)}" for key, path in found]
    shown = "".join(f"\n    {line}" for line in lines[:_SHOWN])
    more = f"\n    and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return PrefixError(
        f"packages contain files in directories reserved for Python itself:{shown}{more}",
        where="the environment",
        remedy="Python would run them instead of its own, even as root. Use other builds of these packages, or remove "
        "them; a package's modules belong in site-packages.",
    )


def check_effects(interpreter: Interpreter | None, effects: Iterable[Effects]) -> None:
    """Raise :class:`PackError` if a link script has written to a path reserved for Python."""
    for done in effects:
        if interpreter is None or interpreter.owns(done.package):
            continue
        for path in (*done.added, *done.changed):
            if interpreter.reserves(path):
                raise PackError(
                    f"its link script wrote {plain(path)}, in a directory reserved for Python itself",
                    where=done.package,
                    remedy=f"Python would run it, even as root. Use another build, or {without(done.package)}.",
                )

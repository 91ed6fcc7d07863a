"""What is Python's alone: its standard library, its programs, and what says where it looks for both.

A module there is imported before everyone's, by whatever runs that Python: services, the build that compiles, and root
on the server. Two files of different names clash with nothing (``argparse/__init__.py`` goes before ``argparse.py``),
so who may have a file there is not for the owners of single paths to say.

Others may have ``config-*`` in the standard library, as libpython-static has: no module has such a name. A package's
modules belong in site-packages, where they come after Python's own. Of ``bin/python*`` the programs that are Python are
meant, ``bin/python-argcomplete-check`` is none.
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
"""In builds of Python that are another implementation: that one's packages."""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """An environment's Python: its standard library, with site-packages in it, and how its packages are called."""

    library: str
    site_packages: str
    owners: re.Pattern[str]

    @classmethod
    def of(cls, python: Index, site_packages: str) -> Interpreter:
        """The Python that is described by its package's ``python``."""
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
    """What is to be said of packages' files (key and path) where only Python's own may be."""
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
    """Raise :class:`PackError` if a link script has written what only Python may have."""
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

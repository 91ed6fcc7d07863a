"""``[bundle] link_scripts``: the packages whose link scripts are run."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Literal

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["NO_CONSENT", "Consent", "without"]


@dataclass(frozen=True, kw_only=True)
class Consent:
    """The packages whose link scripts may run; ``where`` is the key's name in messages.

    ``exclude`` and ``include`` are the bundle's patterns: changes to files that are excluded do not matter.
    """

    packages: tuple[str, ...] | Literal["all"] = ()
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    where: str = "bundle.link_scripts"

    def covers(self, name: str) -> bool:
        return self.packages == "all" or name in self.packages

    def line(self, name: str) -> str:
        """The line of bundle.toml that also allows the scripts of ``name``."""
        names = sorted({name, *(() if self.packages == "all" else self.packages)})
        return f"link_scripts = [{', '.join(map(_quoted, names))}]"

    def packs(self, path: str) -> bool:
        """Whether the bundle's patterns include the file at ``path``."""
        excluded = any(fnmatch(path, pattern) for pattern in self.exclude)
        return not excluded or any(fnmatch(path, pattern) for pattern in self.include)

    def check_names(self, locked: Collection[str]) -> None:
        """Raises :class:`ConfigError` for a name that is not among the ``locked`` packages."""
        for name in self._named():
            if name not in locked:
                close = difflib.get_close_matches(name, sorted(locked), 1)
                raise ConfigError(
                    f"no package {name!r} is locked" + (f"; did you mean {close[0]!r}?" if close else ""),
                    where=self.where,
                    remedy="Use the exact names of conda packages in the lockfile.",
                )

    def check_scripts(self, locked: Collection[str], scripted: Collection[str]) -> None:
        """Raises :class:`ConfigError` for a named ``locked`` package without link scripts (not in ``scripted``)."""
        for name in self._named():
            if name in locked and name not in scripted:
                raise ConfigError(
                    f"{name} has neither a pre-link nor a post-link script",
                    where=self.where,
                    remedy=f"Packages with link scripts: {', '.join(sorted(scripted)) or 'none'}.",
                )

    def _named(self) -> tuple[str, ...]:
        return () if self.packages == "all" else self.packages


NO_CONSENT = Consent()


def without(name: str) -> str:
    """How to prevent the scripts of ``name`` from running, as the end of a sentence."""
    return f'remove {name} from bundle.link_scripts (if that is "all", list the other packages instead)'


def _quoted(name: str) -> str:
    return f'"{name}"'

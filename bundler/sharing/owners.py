"""``[bundle] owners``: which package's file is used where several provide different ones."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.errors import ConfigError
from bundler.lockfiles.read import read_lock
from bundler.sharing.shared import described, name_of
from bundler.systemd.directives import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from bundler.config.lockfiles import Lockfiles
    from bundler.config.project import BundleConfig
    from bundler.locked import Lock

__all__ = ["NO_OWNERS", "OWNERS", "Owner", "Owners", "check_names", "mistaken", "owners_line", "plain"]

OWNERS = "bundle.toml: bundle.owners"
"""Its name in error messages."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """One line of the table: a path below the prefix, or a pattern of such (fnmatch), and a package."""

    pattern: str
    package: str

    def __str__(self) -> str:
        return f"{_quoted(self.pattern)} = {_quoted(self.package)}"

    def means(self, key: str) -> bool:
        """Whether the package with this key is the one that is named, ``conda:`` or ``pip:`` before it or not."""
        manager, _, name = self.package.rpartition(":")
        other = "conda" if key != name_of(key) else "pip"
        return manager != other and canonicalize_name(name) == canonicalize_name(name_of(key))

    def matches(self, path: str) -> bool:
        return path == self.pattern or fnmatch.fnmatchcase(path, self.pattern)


@dataclass(frozen=True, kw_only=True)
class Owners:
    """The table. An exact path goes before a pattern, and the first pattern before the others."""

    entries: tuple[Owner, ...] = ()

    @classmethod
    def of(cls, table: Iterable[tuple[str, str]]) -> Owners:
        return cls(entries=tuple(Owner(pattern=pattern, package=package) for pattern, package in table))

    def entry(self, path: str, holders: Collection[str]) -> Owner | None:
        """What decides about ``path``, which ``holders`` have: of what matches, the first that names one of them."""
        found = [one for one in self.entries if one.matches(path) and any(map(one.means, holders))]
        exact = (one for one in found if one.pattern == path)
        return next(exact, found[0] if found else None)

    def choose(self, path: str, holders: Sequence[str]) -> str | None:
        """The key of the package whose file is to be used; None if nothing is said.

        Raises :class:`ConfigError` if two of them have the name that is given.
        """
        entry = self.entry(path, holders)
        if entry is None:
            return None
        meant = [key for key in holders if entry.means(key)]
        if len(meant) > 1:
            raise ConfigError(
                f"{entry}: {' and '.join(map(described, meant))} both have {path}",
                where=OWNERS,
                remedy=f'Write "conda:{entry.package}" or "pip:{entry.package}".',
            )
        return meant[0]

    def unused(self, shared: Mapping[str, tuple[str, ...]]) -> tuple[Owner, ...]:
        """The entries that decide about none of the ``shared`` paths."""
        used = {self.entry(path, holders) for path, holders in shared.items()}
        return tuple(one for one in self.entries if one not in used)


NO_OWNERS = Owners()


def check_names(config: BundleConfig, lockfiles: Lockfiles, locks: Iterable[Lock]) -> None:
    """Raise :class:`ConfigError` if ``owners`` names a package that is locked for no platform at all.

    One that is only missing on some of them is no mistake: bundle.toml is for all.
    """
    entries = Owners.of(config.bundle.owners.items()).entries
    keys = {package.key for lock in locks for package in lock.packages}
    if all(any(map(one.means, keys)) for one in entries):
        return
    everywhere = (read_lock(lockfiles, platform) for platform in config.project_platforms)
    keys |= {package.key for lock in everywhere for package in lock.packages}
    mistakes = [
        f"{one}: no package {one.package} in the environment"
        + nearest(one.package, frozenset(name_of(key) for key in keys))
        for one in entries
        if not any(map(one.means, keys))
    ]
    if mistakes:
        raise mistaken(mistakes, remedy="Name a package in the lockfile, or remove the entry.")


def mistaken(mistakes: Sequence[str], *, remedy: str) -> ConfigError:
    """All that is wrong with the table."""
    told = mistakes[0] if len(mistakes) == 1 else "\n    ".join([f"{len(mistakes)} problems:", *mistakes])
    return ConfigError(told, where=OWNERS, remedy=remedy)


def owners_line(owners: Owners, added: Iterable[Owner]) -> str:
    """The line of bundle.toml that says what ``owners`` says and what is ``added``."""
    return f"owners = {{ {', '.join(str(one) for one in (*owners.entries, *added))} }}"


def plain(path: str) -> str:
    """A path for people: quoted if there is something in it that a terminal would obey."""
    return path if path.isprintable() else _quoted(path)


def _quoted(text: str) -> str:
    """A basic string of TOML, which is JSON's but for DEL."""
    return json.dumps(text, ensure_ascii=not text.isprintable()).replace("\x7f", "\\u007f")

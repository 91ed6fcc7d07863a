"""What is in a source directory and rarely meant for a server: told before it is shipped.

Nothing is left out for its name alone, since a program may need it; who does not want it gets the line to write.
"""

from __future__ import annotations

import functools
import glob
import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Suspects", "matcher"]

_SHOWN = 5
_HEAD = 16 << 10


@functools.cache
def matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all ``patterns`` (fnmatch, upper and lower case differ); without any it matches nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """Names of one kind, and what to say of them; of a file of a ``marked`` name only if that text is in its head."""

    plural: str
    names: tuple[str, ...]
    but: tuple[str, ...] = ()
    marked: bytes = b""

    def has(self, name: str) -> bool:
        return bool(matcher(self.names).match(name)) and not matcher(self.but).match(name)


_ENVIRONMENT = _Kind(plural="virtual environments", names=())
_CACHE = _Kind(plural="caches of build tools", names=())
_FILES = (
    _Kind(
        plural="environment files, which often hold passwords",
        names=(".env", ".env.*", ".envrc"),
        but=(".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults"),
    ),
    _Kind(
        plural="credentials",
        names=("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.p12", "*.pfx", ".netrc", ".pgpass", ".pypirc"),
    ),
    _Kind(plural="private keys", names=("*.pem", "*.key"), marked=b"PRIVATE KEY-----"),
)
_EITHER = (
    _Kind(
        plural="editor and desktop leftovers",
        names=("*.swp", "*.swo", "*~", "#*#", ".#*", ".DS_Store", ".idea", ".vscode", ".ipynb_checkpoints"),
    ),
)


@dataclass
class Suspects:
    """Those of one source, by their kind, as paths below it. ``places`` are the directories among them."""

    found: dict[_Kind, list[str]] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)

    def directory(self, source: Path, path: str) -> None:
        """Note the directory ``path`` (below the source of the entry) if it is one; it lies at ``source``."""
        if source.name == ".venv" or (source / "pyvenv.cfg").exists():
            self._note(_ENVIRONMENT, path, place=True)
        elif path.endswith("node_modules/.cache"):
            self._note(_CACHE, path, place=True)
        else:
            self._look(_EITHER, path, source, place=True)

    def file(self, source: Path, path: str) -> None:
        """Note the file ``path`` if it is one, by its own name or, where it is a link, by the name that it leads to."""
        if self.around(path) is None:
            self._look((*_FILES, *_EITHER), path, source)

    def around(self, path: str) -> str | None:
        """The directory among them that ``path`` is in."""
        return next((place for place in self.places if path.startswith(f"{place}/")), None)

    def patterns(self) -> tuple[str, ...]:
        """What to write into ``exclude`` to be rid of all of them."""
        return tuple(pattern for kind, paths in self.found.items() for pattern in _patterns(kind, paths))

    def sentence(self) -> str:
        """``2 private keys (a.pem, b.key), …``; empty if there is none."""
        return "; ".join(f"{kind.plural} ({_some(paths)})" for kind, paths in self.found.items())

    def _look(self, kinds: tuple[_Kind, ...], path: str, source: Path, *, place: bool = False) -> None:
        names = (source.name, source.resolve().name) if source.is_symlink() else (source.name,)
        kind = next((kind for kind in kinds if any(map(kind.has, names))), None)
        if kind is not None and (not kind.marked or kind.marked in _head(source)):
            self._note(kind, path, place=place)

    def _note(self, kind: _Kind, path: str, *, place: bool = False) -> None:
        if path and self.around(path) is None:
            self.found.setdefault(kind, []).append(path)
            if place:
                self.places.append(path)


def _head(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""  # who packs it says why it cannot be read


def _patterns(kind: _Kind, paths: list[str]) -> list[str]:
    """Their paths, if they are few, or else the kind's own patterns, at any depth."""
    if len(paths) <= _SHOWN or not kind.names or kind.marked:
        return [glob.escape(path) for path in paths]
    used = [name for name in kind.names if any(matcher((name,)).match(path.rpartition("/")[2]) for path in paths)]
    return [pattern for name in used for pattern in ((name,) if name.startswith("*") else (name, f"*/{name}"))]


def _some(paths: list[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

"""What came of a path that several packages have."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shared", "described", "name_of"]

_WHEEL = "pip:"


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A path below the prefix, the package whose file is there, and the others that have one, by their keys.

    ``same``: all of them have the same file. ``chosen``: ``bundle.owners`` says whose it is.
    """

    path: str
    owner: str
    others: tuple[str, ...]
    same: bool
    chosen: bool = False


def name_of(key: str) -> str:
    """The package's name, which a wheel and a conda package may have in common."""
    return key.removeprefix(_WHEEL)


def described(key: str) -> str:
    """``numpy (conda)``, or ``numpy (wheel)``."""
    return f"{name_of(key)} ({'wheel' if key.startswith(_WHEEL) else 'conda'})"

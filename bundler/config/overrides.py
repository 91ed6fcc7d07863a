"""The command line's overrides of bundle.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import ConfigError
from bundler.platforms import ALL, MACHINES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CONFIG_NAME", "Overrides", "chosen_platforms"]

CONFIG_NAME = "bundle.toml"


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Values from the command line, which replace those in bundle.toml; if there are enough, none is needed."""

    environments: tuple[Path, ...] = ()
    name: str | None = None
    version: str | None = None
    command: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    virtual_packages: Path | None = None
    categories: tuple[str, ...] = ()
    offline: bool = False


def chosen_platforms(named: tuple[str, ...], asked: tuple[str, ...], source: str) -> tuple[str, ...]:
    """The platforms on the command line, or else all those in bundle.toml. Raises :class:`ConfigError`."""
    if ALL in asked and source != CONFIG_NAME:
        raise ConfigError(
            f"--platform {ALL} requires a {CONFIG_NAME} that lists platforms, and there is none",
            where=source,
            remedy="Give each of them: --platform linux-64 --platform linux-aarch64",
        )
    if unknown := [name for name in asked if name != ALL and name not in MACHINES]:
        raise ConfigError(
            f"unknown platform {unknown[0]!r}; known platforms: {', '.join(MACHINES)}", where="--platform"
        )
    wanted = [name for one in asked or (ALL,) for name in ((named or ("linux-64",)) if one == ALL else (one,))]
    return tuple(dict.fromkeys(wanted))

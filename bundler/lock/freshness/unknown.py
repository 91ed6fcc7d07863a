"""Why a lockfile cannot be checked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Unknown", "read_manifest"]


class Unknown(Exception):  # noqa: N818 -- never shown by itself: it is the reason of a Fit
    """The reason why it is unknown whether a lockfile is up to date."""


def read_manifest(path: Path) -> Mapping[str, Any]:
    """Read a manifest in TOML. Raises :class:`Unknown` if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as missing:
        raise Unknown(f"no {path.name} next to it") from missing
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unknown(f"{path.name} cannot be read ({error})") from error

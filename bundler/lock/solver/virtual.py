"""conda's virtual packages (such as ``__glibc``), as conda-lock passes them to a solver."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["split_virtual"]


def split_virtual(channels: Sequence[str], platform: str) -> tuple[tuple[str, ...], tuple[dict[str, Any], ...]]:
    """The real channels, and the packages of the fake channel that conda-lock appends for virtual packages.

    As a channel, it would take part in channel priority, so its records are used as virtual packages instead. The build
    machine's own virtual packages are never used.
    """
    virtual = _virtual_packages(channels[-1], platform) if channels else None
    if virtual is None:
        return tuple(channels), ()
    return tuple(channels[:-1]), virtual


def _virtual_packages(channel: str, platform: str) -> tuple[dict[str, Any], ...] | None:
    """The platform's records of a channel with only virtual packages; None if it is a real channel."""
    if not channel.startswith("file://"):
        return None
    # conda-lock does not quote the path; others may
    base = next((path for path in (Path(channel[7:]), Path(unquote(channel[7:]))) if path.is_dir()), Path(os.devnull))
    records = [
        record | {"fn": fn, "url": f"{channel}/{file.parent.name}/{fn}", "subdir": file.parent.name}
        for file in base.glob("*/repodata.json")
        for fn, record in json.loads(file.read_bytes()).get("packages", {}).items()
    ]
    if not records or any(record.get("package_type") != "virtual_system" for record in records):
        return None
    return tuple(record for record in records if record["subdir"] in (platform, "noarch"))

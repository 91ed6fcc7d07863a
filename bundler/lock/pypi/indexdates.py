"""Package indexes with different ``exclude_newer`` dates, which uv accepts only in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.cooldown import DEFAULT
from bundler.fetch.channels import public_url
from bundler.lock.places import PUBLIC_INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bundler.lock.pypi.indexes import Source

__all__ = ["dates_differ", "write_indexes"]


def dates_differ(dates: Mapping[str, str | None], sources: Sequence[Source], *, public_index: bool) -> bool:
    """Whether one of the indexes has its own date."""
    named = [_name(source) for source in sources] + ([PUBLIC_INDEX] if public_index else [])
    return any(name in dates for name in named)


def write_indexes(
    path: Path, conda: str, sources: Sequence[Source], dates: Mapping[str, str | None], *, public_index: bool
) -> None:
    """Write a uv.toml with all indexes in order, the one for conda's packages first. It may contain credentials."""
    tables = [{"url": conda, "exclude-newer": False}]
    for source in sources:
        tables.append({"url": source.own} | _date(_name(source), dates))
    if public_index:
        tables.append({"url": PUBLIC_INDEX, "default": True} | _date(PUBLIC_INDEX, dates))
    else:
        tables[-1]["default"] = True
    path.touch(mode=0o600)
    lines = [
        "[[index]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()) for table in tables
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _name(source: Source) -> str:
    return public_url(source.given).rstrip("/")


def _date(name: str, dates: Mapping[str, str | None]) -> dict[str, object]:
    """The setting for an index with its own date; the others use the default, which is passed to uv separately."""
    return {"exclude-newer": dates[name] or False} if name in dates and name != DEFAULT else {}

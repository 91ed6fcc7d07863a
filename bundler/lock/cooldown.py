"""``[lock] exclude_newer``: nothing is taken that is newer than a date.

A relative time is resolved once, when everything is locked anew. The lockfile's metadata has what was said and the date
that came of it, and locks that are to change little (``--update``, ``--relock``) go by that date again.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import yaml

from bundler.cooldown import parse_age
from bundler.lock.lockfile import custom_metadata
from bundler.lock.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["cutoff", "recorded", "with_cutoff"]

_SAID = "conda-bundler.exclude-newer"
_DATE = "conda-bundler.exclude-newer.date"


def cutoff(said: str | None, lockfile: Path | None = None) -> str | None:
    """The date, in ISO's form, that ``said`` means: the one that ``lockfile`` has for it, else reckoned from now."""
    if not said:
        return None
    if lockfile and lockfile.exists():
        custom = custom_metadata(load_yaml(lockfile.read_bytes()))
        if recorded(custom) == said and custom.get(_DATE):
            return str(custom[_DATE])
    meant = parse_age(said)
    date = meant if isinstance(meant, datetime) else datetime.now(timezone.utc).replace(microsecond=0) - meant
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


def recorded(custom: Mapping[str, Any]) -> str | None:
    """What was said when the lockfile was written whose custom metadata these are."""
    return custom.get(_SAID)


def with_cutoff(lockfile: bytes, said: str | None, date: str | None) -> bytes:
    """``lockfile`` with both in its metadata; without them, if nothing was said."""
    document = load_yaml(lockfile)
    before = custom_metadata(document)
    custom = {name: value for name, value in before.items() if name not in (_SAID, _DATE)}
    custom |= {_SAID: said, _DATE: date} if said and date else {}
    if custom == before:
        return lockfile
    document["metadata"].pop("custom_metadata", None)
    document["metadata"] |= {"custom_metadata": custom} if custom else {}
    head = "".join(line for line in lockfile.decode().splitlines(keepends=True) if line.startswith("#"))
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return (head + yaml.dump(document, Dumper=dumper, sort_keys=False)).encode()

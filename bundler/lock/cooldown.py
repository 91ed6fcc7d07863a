"""``[lock] exclude_newer``: nothing is taken that is newer than a date.

A relative time is resolved once, when everything is locked anew. The lockfile's metadata has what was said and the date
that came of it, and locks that are to change little (``--update``, ``--relock``) go by that date again.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import yaml

from bundler.cooldown import parse_age
from bundler.lock.lockfile import load_yaml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cutoff", "recorded", "with_cutoff"]

_SAID = "conda-bundler.exclude-newer"
_DATE = "conda-bundler.exclude-newer.date"


def cutoff(said: str | None, lockfile: Path | None = None) -> str | None:
    """The date, in ISO's form, that ``said`` means: the one that ``lockfile`` has for it, else reckoned from now."""
    if not said:
        return None
    if lockfile and recorded(lockfile) == said and (date := _metadata(lockfile).get(_DATE)):
        return str(date)
    meant = parse_age(said)
    date = meant if isinstance(meant, datetime) else datetime.now(timezone.utc).replace(microsecond=0) - meant
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


def recorded(lockfile: Path) -> str | None:
    """What was said when ``lockfile`` was written."""
    return _metadata(lockfile).get(_SAID)


def with_cutoff(lockfile: bytes, said: str | None, date: str | None) -> bytes:
    """``lockfile`` with both in its metadata; without them, if nothing was said."""
    document = load_yaml(lockfile)
    custom = {name: value for name, value in _custom(document).items() if name not in (_SAID, _DATE)}
    custom |= {_SAID: said, _DATE: date} if said and date else {}
    if custom == _custom(document):
        return lockfile
    document["metadata"].pop("custom_metadata", None)
    document["metadata"] |= {"custom_metadata": custom} if custom else {}
    head = "".join(line for line in lockfile.decode().splitlines(keepends=True) if line.startswith("#"))
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return (head + yaml.dump(document, Dumper=dumper, sort_keys=False)).encode()


def _metadata(lockfile: Path) -> dict[str, Any]:
    return _custom(load_yaml(lockfile.read_bytes())) if lockfile.exists() else {}


def _custom(document: Any) -> dict[str, Any]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    custom = metadata.get("custom_metadata") if isinstance(metadata, dict) else None
    return custom if isinstance(custom, dict) else {}

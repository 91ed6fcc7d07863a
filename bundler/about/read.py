"""Locked packages -> what their archives say, for those that the store has; noted beside each of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bundler.about.conda import conda_facts
from bundler.about.facts import Facts
from bundler.about.wheel import NotAWheel, wheel_facts
from bundler.digests import file_sha256
from bundler.errors import PrefixError
from bundler.fetch.archives import kept_archive
from bundler.fetch.condafile import NotAPackage
from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.locked import LockedPackage

__all__ = ["facts_of"]

_FORM = 2
"""Raised when :class:`Facts` or what fills them changes: what was noted before is read again."""


def facts_of(package: LockedPackage) -> Facts | None:
    """What the package's archive says; None if the store does not have it, or has it damaged.

    Raises :class:`PrefixError` for an archive that is the locked one and cannot be read.
    """
    path = kept_archive(package)
    if path is None:
        return None
    note = path.with_name(f".{path.name}.about")
    noted = read_sealed(note)
    if noted is not None:
        document = json.loads(noted)
        if document.get("form") == _FORM and document.get("size") == path.stat().st_size:
            return Facts.of(document["facts"])
    if file_sha256(path) != package.sha256:
        return None
    facts = _read(path, package)
    document = {"form": _FORM, "size": path.stat().st_size, "facts": facts.document()}
    write_sealed(note, json.dumps(document).encode())
    return facts


def _read(path: Path, package: LockedPackage) -> Facts:
    try:
        return conda_facts(path) if package.manager == "conda" else wheel_facts(path)
    except (NotAPackage, NotAWheel) as error:
        raise PrefixError(
            f"cannot be read for its license: {error}", where=package.name, remedy="Take another build of the package."
        ) from error

"""The conda names of PyPI projects whose names differ.

Without them, a project would be locked twice: as a conda package, and as a wheel that overwrites it. The table that we
ship is conda-forge's (regro/cf-graph-countyfair), without projects that have the same name in both. If there is a
network, the newest table is downloaded; otherwise it is not waited for.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.request
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from bundler.atomic import write_file
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["conda_names", "project_names"]

log = logging.getLogger(__name__)

_NEWEST = "https://raw.githubusercontent.com/regro/cf-graph-countyfair/master/mappings/pypi/grayskull_pypi_mapping.json"
_VARIABLE = "CONDA_BUNDLER_PYPI_NAMES"
"""An environment variable with a different URL for the table; empty: use the one that we ship."""
_SHIPPED = Path(__file__).with_name("names.json")
_PATIENCE = 5.0  # seconds
_AGAIN = 12 * 3600.0  # seconds until the next request, whether the last one succeeded or not
_LARGEST = 64 << 20


@cache
def conda_names() -> Mapping[str, str]:
    """The names of conda packages that differ from their project's, by the project's normalized name."""
    found: dict[str, str] = json.loads(_SHIPPED.read_bytes())
    return found


def project_names(*, refresh: bool = True) -> Mapping[str, str]:
    """The projects of conda packages with a different name; with ``refresh``, from the newest available table."""
    names = (_newest() if refresh else None) or conda_names()
    return {canonicalize_name(conda): project for project, conda in names.items()}


def _newest() -> Mapping[str, str] | None:
    """The published table, at most half a day old, or an older one; None if it could never be downloaded."""
    url = os.environ.get(_VARIABLE, _NEWEST)
    if not url:
        return None
    room = cache_dir("names")
    asked, kept = room / "asked", room / "names.json"
    try:
        if not _is_recent(asked, url):
            asked.write_text(url)
            _keep(kept, _parse(_get(url)))
    except (OSError, HTTPException, ValueError) as error:
        log.info("no newer table of names: %s", error)
    try:
        found: dict[str, str] = json.loads(kept.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _is_recent(asked: Path, url: str) -> bool:
    try:
        return asked.read_text() == url and time.time() - asked.stat().st_mtime < _AGAIN
    except FileNotFoundError:
        return False


def _get(url: str) -> bytes:
    deadline = time.monotonic() + 3 * _PATIENCE
    content = b""
    with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310 -- a file will do, too
        while chunk := answer.read1(1 << 20):
            content += chunk
            if time.monotonic() > deadline or len(content) > _LARGEST:
                raise TimeoutError("timed out")
    return content


def _parse(content: bytes) -> dict[str, str]:
    """Parse the published table, without projects that have the same name in both. Raises ValueError if it is invalid.

    It is used in both directions. If two projects have the same conda package, the one with that name is preferred.
    """
    try:
        document = json.loads(content)
        names = {canonicalize_name(entry["pypi_name"]): str(entry["conda_name"]) for entry in document.values()}
    except (AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ValueError("not a table of names") from error
    same = {conda for project, conda in names.items() if canonicalize_name(conda) == project}
    return {project: conda for project, conda in sorted(names.items()) if conda not in same}


def _keep(goal: Path, names: Mapping[str, str]) -> None:
    write_file(goal, json.dumps(names).encode())

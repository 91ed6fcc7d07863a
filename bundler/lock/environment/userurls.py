"""The URLs of channels and package indexes that the user gives: in environment.yml, and on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from bundler.lock.environment.pip import pip_texts
from bundler.plainyaml import load_yaml
from bundler.wheels.requirements import read_pip_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["user_urls"]


def user_urls(files: Iterable[tuple[Path, bytes]], channels: tuple[str, ...]) -> tuple[str, ...]:
    """Those of environment files, whose channels ``channels`` replace if there are any.

    What is wrong with a file is for others to say: it names none then.
    """
    found = [*channels]
    for path, data in files:
        try:
            document = load_yaml(data)
        except (yaml.YAMLError, ValueError):
            continue
        if isinstance(document, dict):
            found += _urls(document, path, with_channels=not channels)
    return tuple(dict.fromkeys(found))


def _urls(document: dict[str, Any], path: Path, *, with_channels: bool) -> Iterator[str]:
    for key in ("channels", "pip-repositories") if with_channels else ("pip-repositories",):
        named = document.get(key)
        yield from (url for url in named if isinstance(url, str)) if isinstance(named, list) else ()
    listed = read_pip_list(pip_texts(document), path, "main")
    yield from (*listed.indexes, *listed.find_links)

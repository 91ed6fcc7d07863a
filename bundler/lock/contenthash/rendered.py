"""What conda-lock reads in the files of an environment, for its content hash.

It is read here where that is known for certain: `conda-lock render-lock-spec`, which is asked elsewhere, takes more
than a second of CPU to start. What is read here counts only if conda-lock's own hash of the conda part confirms it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from bundler.lock.contenthash.contents import is_hash_of
from bundler.lock.contenthash.spec import LockSpec, UnknownError, read_lock_spec
from bundler.lock.environment.views import shown_to_conda_lock, without_pip
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bundler.lock.environment.check import Environment

__all__ = ["Rendered", "is_known_conda_lock", "read_here", "read_shown"]

_KNOWN = ("4.0.",)
"""The versions of conda-lock whose reading the tests compare with ours."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """``asked`` is what conda-lock reads in all of it, ``solved`` in what it is given to solve."""

    asked: Mapping[str, Any]
    solved: Mapping[str, Any]

    def is_confirmed(self, lockfile: Path, virtual: Path, platforms: Sequence[str]) -> bool:
        """Whether conda-lock has written into ``lockfile`` the very hashes of what it has solved.

        ``virtual`` is the channel of virtual packages that it made.
        """
        hashes = load_yaml(lockfile.read_bytes())["metadata"]["content_hash"]
        return all(is_hash_of(self.solved, platform, virtual, hashes.get(platform)) for platform in platforms)


def read_here(environment: Environment, platforms: Sequence[str]) -> Rendered | None:
    """None if conda-lock has to be asked."""
    if not is_known_conda_lock():
        return None
    try:
        asked = read_shown(environment, platforms, shown_to_conda_lock)
        solved = read_shown(environment, platforms, without_pip) if environment.selected else asked
    except UnknownError as unknown:
        logging.getLogger("bundler").info("conda-lock has to be asked: %s", unknown)
        return None
    if not (asked.exact and solved.exact):
        return None
    return Rendered(asked=asked.document(), solved=solved.document())


def read_shown(environment: Environment, platforms: Sequence[str], shown: Callable[[bytes, Path], bytes]) -> LockSpec:
    """What conda-lock reads in what it is ``shown`` of each file. Raises :class:`UnknownError`."""
    files = [(path, shown(data, path)) for path, data in environment.files]
    return read_lock_spec(files, environment.overrides, platforms)


@cache
def is_known_conda_lock() -> bool:
    """Whether the conda-lock that is installed with us is one whose reading is known."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("conda-lock").startswith(_KNOWN)
    except PackageNotFoundError:  # one that is installed elsewhere
        return False

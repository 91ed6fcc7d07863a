"""Solvers that are not our own: a conda, mamba or micromamba of the user's, and the versions that are known to fail."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError
from bundler.process import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.process import Finished

__all__ = ["find_solver"]

_INSTEAD = "Omit --solver to use the built-in solver."


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """What is wrong with the versions of ``tool`` from ``first`` to ``last``, which are both affected."""

    tool: str
    first: tuple[int, ...]
    last: tuple[int, ...] | None
    reason: str

    def has(self, version: tuple[int, ...]) -> bool:
        return self.first <= version and (self.last is None or version[: len(self.last)] <= self.last)


_FAULTS = (
    # conda-lock issue 906
    _Fault(tool="micromamba", first=(2, 6), last=None, reason="conda-lock cannot read its output"),
    # conda-lock issue 896
    *(
        _Fault(
            tool=tool,
            first=(2, 1, 1),
            last=(2, 3, 2),
            reason="it corrupts its package cache, which silently drops packages from the lockfile",
        )
        for tool in ("mamba", "micromamba")
    ),
)


def find_solver(name: str, run: Callable[..., Finished] = run) -> Path:
    """The program called ``name``, a name or path; ``run`` runs it to ask for its version.

    Raises :class:`MissingToolError` if there is none that works.
    """
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(
            f"solver not found: {name}",
            remedy="Install it, or omit --solver to use the built-in one.",
        )
    path = Path(found).absolute()  # conda-lock runs in another directory
    tool = next((tool for tool in ("micromamba", "mamba") if path.name.endswith(tool)), None)
    if tool is not None:
        text = run([path, "--version"], check=False).stdout
        said = re.search(r"\d+(\.\d+)+", text)
        version = tuple(map(int, said[0].split("."))) if said else ()
        for fault in _FAULTS:
            if said and fault.tool == tool and fault.has(version):
                raise MissingToolError(
                    f"{tool} {said[0]} cannot be used: {fault.reason}", where=str(path), remedy=_INSTEAD
                )
    return path

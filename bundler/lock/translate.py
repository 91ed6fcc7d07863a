"""Translate errors of conda-lock and its solver into our own."""

from __future__ import annotations

import re
from textwrap import indent
from typing import TYPE_CHECKING

from bundler.errors import BundlerError, ConfigError, LockError, without_credentials
from bundler.lock.external.explain import explain_unreachable
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.lock.shim.launcher import Failure
    from bundler.process import ToolFailed

__all__ = ["CHANNELS_CHANGED", "conda_lock_warnings", "translate_conda_lock", "translate_solver"]

CHANNELS_CHANGED = "The channel configuration has changed"
_REMEDIES = {
    "channel": "Check the channel's name, the network and the proxy settings.",
    "disk": "Make room, or have CONDA_BUNDLER_CACHE name a larger disk. If that does not help, the channel sends more "
    "than any disk holds: tell its owner.",
    "relations": "List the channels that you want there, and remove `relations` from [channels] in bundle.toml.",
}


def translate_solver(failure: Failure, where: str) -> BundlerError:
    """The error for a failure that our own solver reported; ``where`` is the environment file."""
    if failure.kind == "unsatisfiable":
        return _unsatisfiable(failure.platform, failure.message, where)
    if remedy := _REMEDIES.get(failure.kind):
        return LockError(failure.message, where=where, remedy=remedy)
    if failure.kind == "offline":
        return LockError(
            failure.message,
            where=where,
            remedy=f"Lock once with network access, or copy {cache_dir('repodata')} from a machine that has locked it.",
        )
    if failure.kind == "spec":
        return ConfigError(failure.message, where=f"{where}: dependencies")
    if failure.kind == "platform":
        return ConfigError(failure.message, remedy="Platforms are linux-64, linux-aarch64 and the like.")
    return LockError(f"internal solver error: {failure.message}", where=where, remedy="Please report it.")


def translate_conda_lock(
    failed: ToolFailed, where: str, virtual_packages: Path | None, solver: str = "the solver"
) -> BundlerError:
    """The error for a failure of conda-lock itself, which prints only a traceback, or of an external ``solver``."""
    text = without_credentials(failed.finished.stderr.strip())
    last = text.splitlines()[-1] if text else f"it exited with {failed.finished.status} and no output"
    if spec := re.search(r"^RuntimeError: Failed to turn `(.*)` into a MatchSpec", text, re.MULTILINE):
        reasons = re.findall(r"InvalidMatchSpec: Invalid spec '.*?': (.*)", text)
        reason = f": {reasons[0]}" if reasons else ""
        return ConfigError(f"`{spec[1]}` is not a valid match spec{reason}", where=f"{where}: dependencies")
    if "in virtual_package_repo_from_specification" in text:
        return ConfigError(
            "not a list of virtual packages, as conda-lock wants it",
            where=str(virtual_packages),
        )
    if channels := _translate_channels(text, where):
        return channels
    if "spec_for_name[name]" in text and last.startswith("KeyError"):
        return ConfigError(
            f"{last.removeprefix('KeyError: ')} is not named in it; conda-lock can update only listed packages with "
            "this solver",
            where=where,
            remedy="Add it to `dependencies:`, or omit --solver.",
        )
    if answer := _translate_solution(text, where, solver):
        return answer
    return LockError(f"conda-lock failed: {last}", where=where, remedy="Run with --debug to see its full output.")


def _translate_solution(text: str, where: str, solver: str) -> LockError | None:
    if unreachable := explain_unreachable(text, solver):
        return LockError(
            unreachable,
            where=where,
            remedy=f"Check the channel's name, the network and the proxy settings; {solver} has its own settings for "
            "these.",
        )
    if unsatisfiable := re.search(
        r"Could not lock the environment for platform ([\w-]+):?\s+(.*?)(?:\n    Command:|\Z)", text, re.DOTALL
    ):
        return _unsatisfiable(unsatisfiable[1], unsatisfiable[2].strip(), where)
    return None


def conda_lock_warnings(stderr: str) -> tuple[str, ...]:
    """The first line of each of conda-lock's warnings, without duplicates."""
    found = re.findall(r"^(?:WARNING:[\w.]*:|\S+:\d+: \w*Warning: )(?:WARNING: )?(.+)", stderr, re.MULTILINE)
    return tuple(dict.fromkeys(without_credentials(line.strip()) for line in found))


def _translate_channels(text: str, where: str) -> BundlerError | None:
    if "ChannelAggregationError" in text:
        return ConfigError(
            "these files have contradictory lists of channels (or pip-repositories)",
            where=where,
            remedy="Use the same list in each file, or a list in only one of them.",
        )
    if CHANNELS_CHANGED in text:
        return ConfigError(
            "cannot update single packages: the channels have changed since the lockfile was written",
            where=where,
            remedy="Lock again without --update.",
        )
    return None


def _unsatisfiable(platform: str, reason: str, where: str) -> LockError:
    return LockError(
        f"cannot be solved for {platform}:\n{indent(reason, '    ')}",
        where=where,
        remedy="Relax a version constraint, or add a channel that has the missing package.",
    )

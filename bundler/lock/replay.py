"""The conda part of a lock without conda-lock, whose modules alone take more than a second to import.

What conda-lock writes follows from what it is shown and from the answers of the solver that it calls. Both are kept
from the last time that a lockfile was written. If it is shown the same again, our solver is asked the same questions
again, and where it gives the very same answers, conda-lock would write what it wrote then. In all other cases
conda-lock itself is run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler import __version__
from bundler.digests import sha256_of
from bundler.lock.environ import clean_environ
from bundler.lock.environment.shown import HIDDEN
from bundler.lock.environment.views import without_pip
from bundler.lock.request import OWN_SOLVER, assumed_packages, virtual_packages_file
from bundler.lock.shim.launcher import read_failure
from bundler.lock.translate import translate_solver
from bundler.resources import cache_dir
from bundler.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundler.lock.environment.check import Environment
    from bundler.lock.request import LockRequest
    from bundler.lock.watch import Watch
    from bundler.lock.workdir import Room

__all__ = ["CondaPart", "Replay"]

_VIRTUAL = "file:///virtual"
"""Stands for the channel of virtual packages, which is in another directory each time."""
_HIDDEN_AGAIN = re.compile(
    rb"^([ \t]*- %s[ \t]*\r?\n)(?:[ \t]*- %s[ \t]*\r?(?:\n|\Z))+" % ((HIDDEN.encode(),) * 2), re.MULTILINE
)
_UNUSED = 90 * 24 * 3600
"""Seconds after which a record that nobody has used is removed."""


@dataclass(frozen=True, kw_only=True)
class CondaPart:
    """What conda-lock has written: the lockfile, and its warnings."""

    lockfile: bytes
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The record of one lockfile; ``key`` is a digest of all that conda-lock is shown, and of conda-lock itself."""

    request: LockRequest
    environment: Environment
    room: Room
    path: Path
    key: str

    @classmethod
    def of(cls, request: LockRequest, environment: Environment, room: Room) -> Replay | None:
        """None where conda-lock has to be run: with another solver than ours, or if not all that it reads is known."""
        if request.solver != OWN_SOLVER:
            return None
        try:
            inputs = json.dumps(_inputs(request, environment, room), sort_keys=True)
        except (OSError, ValueError):  # a file of virtual packages that cannot be read
            return None
        name = hashlib.sha256(os.fsencode(request.lockfile.absolute())).hexdigest()
        key = sha256_of([inputs.encode()])
        return cls(request=request, environment=environment, room=room, path=cache_dir("conda-part") / name, key=key)

    def part(self, solver: Path, watch: Watch, run: Callable[[], CondaPart]) -> CondaPart:
        """What conda-lock would write, or has written when it was ``run``. ``solver`` is our launcher.

        The virtual packages, and what the solver leaves there, are in the room then. Raises what ``run`` raises, and
        :class:`BundlerError` if the solver says what is wrong, as it would say to conda-lock.
        """
        part = self._again(solver, watch)
        if part is None:
            part = run()
            self._keep(part)
        return part

    def _again(self, solver: Path, watch: Watch) -> CondaPart | None:
        record = self._read()
        if record is None:
            return None
        _write_tree(self.room.virtual, record["virtual"])
        watch.now("asking the solver what conda-lock asked before")
        for platform, asked in record["asked"].items():
            if not self._ask(solver, platform, asked, watch):
                break
        if failure := read_failure(self.room.report):
            raise translate_solver(failure, self.request.where)
        answered = self._answered()
        if answered != record["asked"]:
            self._clear()
            return None
        with suppress(OSError):
            os.utime(self.path)
        return CondaPart(lockfile=record["lockfile"].encode(), warnings=tuple(record["warnings"]))

    def _keep(self, part: CondaPart) -> None:
        """conda-lock has written this. A cache that cannot be written to costs time later, nothing else."""
        asked, lockfile = self._answered(), part.lockfile.decode()
        if asked is None or asked.keys() != set(self.request.platforms) or str(self.room.path) in lockfile:
            return
        record = {
            "asked": asked,
            "virtual": _read_tree(self.room.virtual),
            "lockfile": lockfile,
            "warnings": list(part.warnings),
        }
        write_sealed(self.path, json.dumps({"key": self.key, **record}).encode())
        with suppress(OSError):
            _remove_unused(self.path.parent)

    def _read(self) -> dict[str, Any] | None:
        sealed = read_sealed(self.path)
        if sealed is None:
            return None
        record: dict[str, Any] = json.loads(sealed)
        return record if record.pop("key") == self.key else None

    def _ask(self, solver: Path, platform: str, asked: Mapping[str, Any], watch: Watch) -> bool:
        """Ask as conda-lock does; the answer is in the room, or the reason why there is none."""
        channels = [self._virtual_channel() if one == _VIRTUAL else one for one in asked["channels"]]
        argv: list[str | Path] = [solver, "create", "--dry-run", "--json", "--override-channels"]
        argv += [word for channel in channels for word in ("--channel", channel)]
        environ = clean_environ(self.request, self.environment, self.room) | {"CONDA_SUBDIR": platform}
        cwd = self.request.environments[0].absolute().parent
        return watch.run([*argv, "--", *asked["specs"]], env=environ, cwd=cwd, check=False).status == 0

    def _answered(self) -> dict[str, Any] | None:
        """What our solver was asked for each platform, and a digest of its answer; None if it was more than that."""
        found = {}
        for file in sorted(self.room.asked.glob("*.json")):
            calls = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            if len(calls) != 1 or calls[0]["command"] != "create":
                return None
            *channels, virtual = calls[0]["channels"] or [""]
            if not virtual.startswith((f"file://{self.room.path}/", self._virtual_channel())):
                return None
            answer = json.dumps(calls[0]["answer"]).replace(json.dumps(virtual)[1:-1], _VIRTUAL)
            found[file.stem] = {
                "channels": [*channels, _VIRTUAL],
                "specs": calls[0]["specs"],
                "answer": sha256_of([answer.encode()]),
            }
        return found

    def _virtual_channel(self) -> str:
        return f"file://{self.room.virtual}"

    def _clear(self) -> None:
        """conda-lock finds the room as if nobody had asked anything."""
        shutil.rmtree(self.room.virtual, ignore_errors=True)
        for directory in (self.room.asked, self.room.tools, self.room.relations):
            for file in directory.iterdir():
                file.unlink()


def _inputs(request: LockRequest, environment: Environment, room: Room) -> dict[str, Any]:
    """All that decides what conda-lock writes, but the solver's answers."""
    virtual = virtual_packages_file(request)
    return {
        "conda-bundler": __version__,
        "conda-lock": _distributions(),
        "python": sys.version,
        "lockfile": str(request.lockfile.absolute()),
        "directory": str(request.environments[0].absolute().parent),
        "files": [
            (os.path.relpath(copy, room.lockfile.parent), sha256_of([_once(without_pip(data, path))]))
            for copy, (path, data) in zip(room.environments, environment.files, strict=True)
        ],
        "channels": environment.overrides,
        "platforms": sorted(set(request.platforms)),
        "virtual packages": virtual.read_text(encoding="utf-8") if virtual else assumed_packages(request),
    }


def _once(shown: bytes) -> bytes:
    """What conda-lock is shown, with one of the entries of each `pip:` list that are hidden from it: their number says
    nothing to it, and a wheel more is no other question.
    """
    return _HIDDEN_AGAIN.sub(rb"\1", shown)


def _distributions() -> list[str]:
    """conda-lock and all that is installed beside it, each with its version."""
    directory = Path(str(distribution("conda-lock").locate_file("")))
    return sorted(path.name for path in directory.glob("*.dist-info"))


def _read_tree(directory: Path) -> dict[str, str]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_text(encoding="utf-8") for path in files}


def _write_tree(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _remove_unused(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_file() and time.time() - path.stat().st_mtime > _UNUSED:
            path.unlink(missing_ok=True)

"""Runs conda-lock in a room, on copies of the user's files."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.errors import MissingToolError
from bundler.lock.contenthash.rendered import Rendered
from bundler.lock.environ import clean_environ
from bundler.lock.environment.views import shown_to_conda_lock, without_pip
from bundler.lock.replay import CondaPart
from bundler.lock.request import assumed_packages, virtual_packages_file
from bundler.lock.shim.launcher import read_failure
from bundler.lock.translate import conda_lock_warnings, translate_conda_lock, translate_solver
from bundler.platforms import VIRTUAL_PACKAGES
from bundler.process import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundler.lock.environment.check import Environment
    from bundler.lock.request import LockRequest
    from bundler.lock.watch import Watch
    from bundler.lock.workdir import Room
    from bundler.process import Finished

__all__ = ["CondaLock", "conda_lock_command"]


@dataclass(frozen=True, kw_only=True)
class CondaLock:
    """conda-lock for one ``environment``, working in ``room`` while ``watch`` looks at the time."""

    request: LockRequest
    environment: Environment
    room: Room
    watch: Watch

    def part(self, arguments: Sequence[str]) -> CondaPart:
        """Have it lock the conda packages. Raises :class:`BundlerError` for why it cannot."""
        self.watch.now("starting conda-lock")
        finished = self.lock(arguments)
        if finished.status != 0:
            failed, where = ToolFailed(finished), self.request.where
            if failure := read_failure(self.room.report):
                raise translate_solver(failure, where) from failed
            solver = Path(self.request.solver).name
            raise translate_conda_lock(failed, where, virtual_packages_file(self.request), solver) from failed
        return CondaPart(lockfile=self.room.lockfile.read_bytes(), warnings=conda_lock_warnings(finished.stderr))

    def lock(self, arguments: Sequence[str], *, shown: Callable[[bytes, Path], bytes] = without_pip) -> Finished:
        """Run `conda-lock lock` on what is ``shown`` of each file: without the entries of ``pip:``, unless said."""
        for copy, (path, data) in zip(self.room.environments, self.environment.files, strict=True):
            copy.write_bytes(shown(data, path))
        argv = [
            *conda_lock_command(),
            "lock",
            *arguments,
            *("--no-mamba", "--no-micromamba"),  # or it looks for one, and downloads it
            *("--lockfile", str(self.room.lockfile)),
            *self._inputs(self.room.environments),
        ]
        if self.request.virtual_packages:
            argv.append(f"--virtual-package-spec={self.request.virtual_packages.absolute()}")
        elif not virtual_packages_file(self.request):
            argv.append(f"--virtual-package-spec={self._write_virtual_packages()}")
        return self._run(argv)

    def render(self) -> Rendered:
        """What it says that it reads in the files, and in what it is given to solve."""
        asked = self._read(shown_to_conda_lock)
        return Rendered(asked=asked, solved=self._read(without_pip) if self.environment.selected else asked)

    def _read(self, shown: Callable[[bytes, Path], bytes]) -> Any:
        """What it reads in what it is ``shown`` of each environment.yml."""
        copies = []
        for number, (path, data) in enumerate(self.environment.files):
            copies.append(self.room.path / "spec" / shown.__name__ / str(number) / path.name)
            copies[-1].parent.mkdir(parents=True)
            copies[-1].write_bytes(shown(data, path))
        argv = [*conda_lock_command(), "render-lock-spec", "--kind", "raw", "--stdout"]
        finished = self._run([*argv, *self._inputs(copies)])
        if finished.status != 0:
            failed = ToolFailed(finished)
            raise translate_conda_lock(failed, self.request.where, None) from failed
        return json.loads(finished.stdout)

    def _inputs(self, copies: Sequence[Path]) -> list[str]:
        return [
            *("--pypi_to_conda_lookup_file", str(self.room.names)),
            *(f"--file={copy}" for copy in copies),
            *(f"--platform={platform}" for platform in sorted(set(self.request.platforms))),
            *(f"--channel={channel}" for channel in self.environment.overrides),
        ]

    def _run(self, argv: Sequence[str]) -> Finished:
        # there local channels in the file are found, and the virtual-packages.yml that conda-lock reads
        cwd = self.request.environments[0].absolute().parent
        environ = clean_environ(self.request, self.environment, self.room)
        return self.watch.run(argv, env=environ, cwd=cwd, check=False)

    def _write_virtual_packages(self) -> Path:
        path = self.room.path / VIRTUAL_PACKAGES[0]
        path.write_text(json.dumps({"subdirs": assumed_packages(self.request)}), encoding="utf-8")  # YAML, too
        return path


def conda_lock_command() -> list[str]:
    """The conda-lock beside our own interpreter, if need be another one."""
    beside = Path(sys.executable).parent / "conda-lock"
    if beside.is_file():
        return [str(beside)]
    if importlib.util.find_spec("conda_lock"):
        return [sys.executable, "-m", "conda_lock"]
    if found := shutil.which("conda-lock"):
        return [found]
    raise MissingToolError("conda-lock is missing", remedy="Install it: pip install conda-lock")

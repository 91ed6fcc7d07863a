"""What is measured: environments of the local channel, locked, and the caches that both sides share."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import BenchError
from bundler.errors import MissingToolError
from bundler.process import ToolFailed, run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["Environment", "World", "prepare", "spread"]

_CHECKOUT = Path(__file__).parent.parent
_SCIENCE = ("python", "scipy", "pandas", "pytz", "six")  # numpy comes with them
_SPECS = {
    "python only": ("python",),
    "12,000 small files": ("small-files",),
    "1x": (*_SCIENCE, "note 1.0.*"),
    "1x, one package changed": (*_SCIENCE, "note 2.0.*"),
    "3x": (*_SCIENCE, "note 1.0.*", "bulk-3x"),
    "3x, one package changed": (*_SCIENCE, "note 2.0.*", "bulk-3x"),
    "10x": (*_SCIENCE, "note 1.0.*", "bulk-10x"),
    "10x, one package changed": (*_SCIENCE, "note 2.0.*", "bulk-10x"),
    "100 packages": ("many-100",),
    "300 packages": ("many-300",),
    "one file of 1 GiB": ("giant-file",),
}
_BUNDLE = """\
[bundle]
name = "bench"
version = "1.0"
platforms = ["{platform}"]
bytecode = "none"

[services.bench]
command = ["{program}", "-V"]
profile = "generic"
"""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A project with its lockfile."""

    name: str
    project: Path

    @property
    def lockfile(self) -> Path:
        return self.project / "conda-lock.yml"


@dataclass(frozen=True, kw_only=True)
class World:
    """Where everything lies, all of it on one filesystem so that links work; the processes' environment variables."""

    room: Path
    environ: dict[str, str]
    environments: dict[str, Environment]

    @property
    def segments(self) -> Path:
        return self.room / "cache" / "segments"

    @property
    def checks(self) -> Path:
        return self.room / "cache" / "checks"

    @property
    def log(self) -> Path:
        return self.room / "log"

    @property
    def build_options(self) -> tuple[str | Path, ...]:
        """What ``conda-bundler lock`` and ``build`` need to be told of the channel."""
        channel = self.room / "channel"
        return "--channel", channel.as_uri(), "--virtual-packages", channel / "virtual-packages.yml"

    def bundle(self, codec: str) -> Path:
        """The bundle that ``conda-bundler build`` has made."""
        (bundle,) = (self.room / "bundles" / codec).iterdir()
        return bundle

    def fresh(self, name: str) -> Path:
        """An empty directory."""
        path = self.room / "out" / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


def prepare(room: Path, sizes: Iterable[int], only: Collection[str] = ()) -> World:
    """Make the channel, lock the environments, or ``only`` these. Raises :class:`BenchError` if that does not work."""
    wanted = sorted(set(sizes))
    sets = ["--with", "bench-large" if 10 in wanted else "bench"]
    _tell("The channel")
    _tool([sys.executable, _CHECKOUT / "examples" / "channel", room / "channel", *sets])
    names = ["python only", "12,000 small files", "100 packages", "300 packages"] + (
        ["one file of 1 GiB"] if 10 in wanted else []
    )
    names += [name for size in wanted for name in _SPECS if name.split(",")[0] == f"{size}x"]
    names = [name for name in names if not only or name in only]
    environ = {**os.environ, "CONDA_BUNDLER_CACHE": str(room / "cache"), "LC_ALL": "C.UTF-8"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed tool has its bytecode; a checkout gets it now
    found = {name: Environment(name=name, project=room / "projects" / name.replace(" ", "-")) for name in names}
    world = World(room=room, environ=environ, environments=found)
    for environment in found.values():
        _lock(environment, world)
    spread(room / "cache" / "prefix")
    return world


def spread(directory: Path) -> None:
    """Let ext4 put each directory that is made in this one in another place of the disk (``T`` in chattr(1)).

    Where the run before has just deleted what it linked, an ext4 without a journal looks at each inode that was freed
    before it takes one, and whoever makes files next would pay for it. Other filesystems have no such attribute.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(ToolFailed, MissingToolError):
        run(["chattr", "+T", directory])


def _lock(environment: Environment, world: World) -> None:
    repodata = max(path.stat().st_mtime for path in (world.room / "channel").glob("*/repodata.json"))
    spec = "".join(f"  - {spec}\n" for spec in _SPECS[environment.name])
    text = f"channels: []\ndependencies:\n{spec}"
    written = environment.project / "environment.yml"
    fresh = environment.lockfile.is_file() and environment.lockfile.stat().st_mtime > repodata
    if fresh and written.read_text(encoding="utf-8") == text:
        return
    _tell(f"Locking {environment.name}")
    environment.project.mkdir(parents=True, exist_ok=True)
    written.write_text(text, encoding="utf-8")
    bundle = _BUNDLE.format(
        platform=_platform(), program="many" if environment.name.endswith(" packages") else "python"
    )
    (environment.project / "bundle.toml").write_text(bundle, encoding="utf-8")
    environment.lockfile.unlink(missing_ok=True)
    words = [sys.executable, "-m", "bundler", "lock", environment.project, *world.build_options]
    _tool(words, environ=world.environ)


def _platform() -> str:
    return {"x86_64": "linux-64", "aarch64": "linux-aarch64"}[os.uname().machine]


def _tool(words: list[str | Path], environ: dict[str, str] | None = None) -> None:
    try:
        run(words, env=environ, cwd=_CHECKOUT)
    except ToolFailed as failure:
        raise BenchError(f"{failure}\n{failure.tail()}", where="preparation") from failure


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")

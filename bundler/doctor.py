"""`doctor`: what this machine has and lacks to build bundles, to try them, and to install them.

Each look is the very one that the step itself takes, so that what is found here holds there.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.errors import BundlerError, MissingToolError
from bundler.process import ToolFailed, find_tool, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["PURPOSES", "Diagnosis", "Finding", "diagnose"]

_LEAST_FREE = 2_000_000_000
"""Bytes: an environment of a few hundred megabytes is downloaded, unpacked and packed."""
_LIBRARIES = ("py-rattler", "conda-pack", "installer")
_SYSTEMD = 239
_MACHINE_TOOLS = (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap"), ("nsenter", "util-linux"))


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that a purpose needs: ``detail`` is what was found, or what is wrong; then ``remedy`` mends it.

    What is not ``needed`` is of use for some bundles only.
    """

    purpose: str
    name: str
    ok: bool
    needed: bool
    detail: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All findings, and the purposes that this machine is to serve."""

    findings: tuple[Finding, ...]
    wanted: tuple[str, ...]

    def ready(self, purpose: str) -> bool:
        """Whether nothing that it needs is missing."""
        return all(one.ok or not one.needed for one in self.findings if one.purpose == purpose)

    @property
    def healthy(self) -> bool:
        """Whether this machine can do all that is wanted of it."""
        return all(map(self.ready, self.wanted))

    def lines(self) -> list[str]:
        """For people."""
        told = []
        for purpose in dict.fromkeys(one.purpose for one in self.findings):
            told.append(f"{purpose}: {'ready' if self.ready(purpose) else 'NOT READY'}")
            for one in self.findings:
                if one.purpose == purpose:
                    mark = "ok" if one.ok else "missing" if one.needed else "optional"
                    told.append(f"  {mark:<8}  {one.name}: {one.detail}")
                    told += [f"            {one.remedy}"] if one.remedy else []
        return told

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        purposes = dict.fromkeys(one.purpose for one in self.findings)
        return {
            "ready": {purpose: self.ready(purpose) for purpose in purposes},
            "findings": [asdict(one) for one in self.findings],
        }


def diagnose(purposes: tuple[str, ...]) -> Diagnosis:
    """Look for what ``purposes`` need; without any for everything, and then only building is wanted."""
    findings = [one for purpose in purposes or PURPOSES for one in PURPOSES[purpose]()]
    return Diagnosis(findings=tuple(findings), wanted=purposes or ("build",))


def _look(purpose: str, name: str, look: Callable[[], str], *, needed: bool = True) -> Finding:
    try:
        return Finding(purpose=purpose, name=name, ok=True, needed=needed, detail=look(), remedy="")
    except BundlerError as error:
        detail, remedy = error.message, error.remedy or ""
        return Finding(purpose=purpose, name=name, ok=False, needed=needed, detail=detail, remedy=remedy)


def _for_build() -> Iterable[Finding]:
    from bundler.lock.pypi.uv import uv_command
    from bundler.lock.runner import conda_lock_command
    from bundler.lock.workdir import where_programs_run

    yield _look("build", "Python", lambda: f"{sys.version.split()[0]} ({sys.executable})")
    for name in _LIBRARIES:
        yield _look("build", name, functools.partial(_version, name))
    yield _look("build", "conda-lock", lambda: " ".join(conda_lock_command()))
    yield _look("build", "uv", uv_command)
    yield _look("build", "cache directory", _cache)
    yield _look("build", "temporary directory", lambda: str(where_programs_run()))
    yield _look("build", "cage", _cage, needed=False)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as missing:
        raise MissingToolError("not installed", remedy=f"Install it: pip install {name}") from missing


def _cache() -> str:
    from bundler.resources import cache_dir

    remedy = "Set CONDA_BUNDLER_CACHE to a directory with enough free space that you may write to."
    try:
        path = cache_dir("packages").parent
    except OSError as error:
        raise MissingToolError(f"cannot be made: {error.filename}: {error.strerror}", remedy=remedy) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise MissingToolError(f"{path} is not writable", remedy=remedy)
    return _free(path, remedy)


def _free(path: Path, remedy: str) -> str:
    free = shutil.disk_usage(path).free
    if free < _LEAST_FREE:
        raise MissingToolError(f"{path} has only {free / 1e9:.1f} GB free", remedy=remedy)
    return f"{path}, {free / 1e9:.1f} GB free"


def _cage() -> str:
    """For packages' link scripts, and for bytecode."""
    from bundler.cage import run_caged

    run_caged(["true"])
    return "packages' code can be run sandboxed"


def _for_smoke() -> Iterable[Finding]:
    yield _look("smoke", "root", _root)
    for tool, package in _MACHINE_TOOLS:
        look = functools.partial(find_tool, tool, package=package, purpose="booting a throwaway machine")
        yield _look("smoke", tool, look)
    yield _look("smoke", "control groups", _control_groups)


def _root() -> str:
    from bundler.machine.rootfs import need_root

    need_root()
    return "yes"


def _control_groups() -> str:
    from bundler.machine.cgroups import planned

    for group in planned("doctor"):
        if not os.access(group.parent, os.W_OK):
            raise MissingToolError(
                f"{group.parent} is not writable", remedy="Run as root; in a container, run it privileged."
            )
    return "writable"


def _for_server() -> Iterable[Finding]:
    """The least that any bundle needs; ``install.sh --check`` knows all that its own bundle does."""
    yield _look("server", "systemd", _systemd)
    for tool in ("tar", "gzip"):
        yield _look("server", tool, functools.partial(find_tool, tool, package=tool, purpose="install.sh"))
    yield _look("server", "zstd", lambda: find_tool("zstd", package="zstd", purpose="a zstd payload"), needed=False)
    remedy = "Free some space, or install to another file system with install.sh --prefix."
    yield _look("server", "/opt", lambda: _free(Path("/opt" if Path("/opt").is_dir() else "/"), remedy))


def _systemd() -> str:
    systemctl = find_tool("systemctl", package="systemd", purpose="running services")
    try:
        version = int(run([systemctl, "--version"]).stdout.split()[1])
    except (ToolFailed, IndexError, ValueError) as odd:
        raise MissingToolError("systemctl --version gives no version", remedy="Install systemd.") from odd
    if version < _SYSTEMD:
        raise MissingToolError(f"version {version} is too old", remedy=f"Install version {_SYSTEMD} or later.")
    if not Path("/run/systemd/system").is_dir():
        raise MissingToolError(
            f"version {version} is installed but not running",
            remedy="Boot with systemd; for an image use install.sh --root.",
        )
    return f"version {version}, running"


PURPOSES: dict[str, Callable[[], Iterable[Finding]]] = {
    "build": _for_build,
    "smoke": _for_smoke,
    "server": _for_server,
}

"""What is to be locked, or to be checked: all that is known of it before anything is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bundler.config.servers import PlainServers, Servers, assumed
from bundler.cooldown import as_text
from bundler.errors import ConfigError
from bundler.fetch.channels import ANYHOW, Access
from bundler.lock.environment.check import Environment, check_environment
from bundler.lock.places import check_places
from bundler.platforms import VIRTUAL_PACKAGES

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.config.lockfiles import Lockfiles
    from bundler.config.project import BundleConfig

__all__ = [
    "LOCK_TIMEOUT",
    "OWN_SOLVER",
    "LockRequest",
    "assumed_packages",
    "checked_environment",
    "injected_lockfiles",
    "lock_request",
    "virtual_packages_file",
]

OWN_SOLVER = "rattler"
LOCK_TIMEOUT = 600
"""Seconds that a lock may take unless said."""


@dataclass(frozen=True, kw_only=True)
class LockRequest:
    """What to lock.

    ``environments`` are one environment.yml or several that together make one environment; ``channels`` replace theirs
    if there are any, and ``access`` says how channels are reached. ``solver`` is ``rattler``, our own, or the name
    or path of a conda, mamba or micromamba. What the servers have ``virtual_packages`` says (conda-lock's
    ``--virtual-package-spec``), else a virtual-packages.yml beside the environment.yml, else ``tables``. ``injected``
    are names of packages that will take the place of locked ones, so that these need not be wheels. Nothing is taken
    that is newer than ``exclude_newer``, an age or a date, or a table of such (:mod:`bundler.cooldown`).
    """

    environments: tuple[Path, ...]
    lockfile: Path
    platforms: tuple[str, ...]
    channels: tuple[str, ...] = ()
    solver: str = OWN_SOLVER
    virtual_packages: Path | None = None
    access: Access = ANYHOW
    injected: frozenset[str] = frozenset()
    tables: tuple[tuple[str, Servers], ...] = ()
    exclude_newer: str | None = None
    timeout: float = LOCK_TIMEOUT
    """Seconds after which a lock is given up."""
    relations: bool = False
    """Whether channels that the channels name are taken in."""
    default_channel: str | None = None
    """Of an environment that names none; without it that is a mistake."""
    texts: tuple[tuple[Path, bytes], ...] = ()
    """Those of ``environments`` that were read already, with what is in them; the others are read."""

    @property
    def where(self) -> str:
        """What to call the environment spec in messages."""
        return ", ".join(str(path) for path in self.environments)


def lock_request(
    config: BundleConfig,
    solver: str,
    timeout: float = LOCK_TIMEOUT,
    *,
    texts: tuple[tuple[Path, bytes], ...] = (),
    injected: frozenset[str] | None = None,
) -> LockRequest:
    """What to lock for a bundle, with what, and within how many seconds; ``texts`` and ``injected`` as far as they are
    known.
    """
    newest = config.tables.lock.exclude_newer
    return LockRequest(
        environments=config.environments,
        lockfile=config.lockfile,
        platforms=config.platforms,
        channels=config.channels,
        solver=solver,
        virtual_packages=config.virtual_packages,
        access=config.access,
        injected=_injected(config) if injected is None else injected,
        texts=texts,
        tables=config.platform_tables,
        exclude_newer=None if newest is None else as_text(newest),
        relations=config.tables.channels.relations,
        timeout=timeout,
        default_channel=config.tables.channels.default,
    )


def injected_lockfiles(config: BundleConfig) -> Lockfiles:
    """The project's lockfiles, to be read with what is injected in mind."""
    return replace(config.lockfiles, injected=_injected(config))


def _injected(config: BundleConfig) -> frozenset[str]:
    if not config.bundle.inject:
        return frozenset()
    from bundler.inject.files import local_wheel_names

    return local_wheel_names(config)


def checked_environment(request: LockRequest) -> Environment:
    """What is to be locked, read and checked. Raises :class:`ConfigError`."""
    if not request.platforms:
        raise ConfigError("no platform to lock for", remedy="Give one: --platform linux-64")
    if not request.lockfile.absolute().parent.is_dir():
        raise ConfigError("its directory does not exist", where=str(request.lockfile))
    if request.solver != OWN_SOLVER and request.access.mirrors:
        raise ConfigError(
            f"channels.mirrors are ignored by solver {request.solver}, which has its own mirror settings",
            remedy="Remove --solver or the mirrors.",
        )
    if request.solver != OWN_SOLVER and request.exclude_newer:
        raise ConfigError(
            f"lock.exclude_newer is ignored by solver {request.solver}",
            remedy="Remove --solver or exclude_newer.",
        )
    environment = check_environment(
        request.environments,
        request.platforms,
        request.channels,
        default=request.default_channel,
        texts=dict(request.texts),
    )
    if request.solver != OWN_SOLVER:
        _refuse_unknown_to(request, environment)
    if request.exclude_newer and not request.relations:
        check_places(request.exclude_newer, environment)
    return environment


def _refuse_unknown_to(request: LockRequest, environment: Environment) -> None:
    """An external solver gets no more of a spec than conda-lock passes on, and knows nothing of channels' relations."""
    if request.relations:
        raise ConfigError(
            f"channels.relations is ignored by solver {request.solver}",
            remedy="Remove --solver or relations.",
        )
    specs = [spec for platform in request.platforms for spec in environment.long_specs(platform).values()]
    if lost := list(dict.fromkeys(f"`{spec.text}` ({', '.join(spec.unseen)})" for spec in specs)):
        raise ConfigError(
            f"has constraints that conda-lock does not pass on to solver {request.solver} (only name, version, build "
            f"and channel): {', '.join(lost)}",
            where=f"{request.where}: dependencies",
            remedy="Omit --solver, or specify the package by version and build only.",
        )


def virtual_packages_file(request: LockRequest) -> Path | None:
    """The file that conda-lock reads them from, if it is there."""
    if request.virtual_packages:
        return request.virtual_packages
    beside = (request.environments[0].with_name(name) for name in VIRTUAL_PACKAGES)
    return next((path for path in beside if path.exists()), None)


def assumed_packages(request: LockRequest) -> dict[str, Any]:
    """What takes such a file's place: conda-lock knows of three platforms of Linux what to assume, and gives each a
    GPU.
    """
    tables = dict(request.tables)
    return {
        name: {"packages": assumed(name, tables.get(name, PlainServers()))} for name in sorted(set(request.platforms))
    }

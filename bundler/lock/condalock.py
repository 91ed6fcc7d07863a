"""Lock environment.yml into conda-lock.yml, which is replaced atomically."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from bundler.atomic import write_file
from bundler.errors import ConfigError, LockError
from bundler.fetch.channels import Access, variables_of
from bundler.lock.contenthash.rendered import Rendered, read_here
from bundler.lock.cooldown import cutoff, cutoff_record
from bundler.lock.decompressor import with_tools, without_tools
from bundler.lock.environment.pip import check_wheels
from bundler.lock.external.executable import find_solver
from bundler.lock.pypi.wheelpart import WheelPart, add_wheels
from bundler.lock.recorded import recorded, with_recorded
from bundler.lock.replay import Replay
from bundler.lock.request import OWN_SOLVER, LockRequest, checked_environment
from bundler.lock.runner import CondaLock
from bundler.lock.shim.launcher import SolverSettings, recording, write_launcher, write_wrapper
from bundler.lock.solver.absent import without_absent
from bundler.lock.solver.relations import read_followed, relations_record
from bundler.lock.watch import watching
from bundler.lock.workdir import make_room
from bundler.locked import Lock, LockedPackage
from bundler.lockfiles.condalock import locked_platforms, read_lock
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from bundler.lock.environment.check import Environment
    from bundler.lock.replay import CondaPart
    from bundler.progress import Progress

__all__ = ["OWN_SOLVER", "Lock", "LockRequest", "LockedPackage", "read_lock", "write_lockfile"]


def write_lockfile(
    request: LockRequest, progress: Progress | None = None, *, update: tuple[str, ...] = (), keep: bool = False
) -> None:
    """Lock the environment; with ``update``, update only these packages and what has to change with them; with
    ``keep``, keep everything that still fits. Notes for the user go to ``progress``.

    With either option, an age in ``exclude_newer`` means the same date as in the existing lockfile.

    An existing lockfile is kept until the new one is complete. Raises :class:`ConfigError` if the request or the
    environment.yml is invalid, :class:`LockError` if there is no solution or a channel does not respond,
    :class:`MissingToolError` if the solver does not exist.
    """
    progress = progress or QuietProgress()
    environment = checked_environment(request)
    request = replace(request, access=replace(request.access, own=environment.urls))
    _tell(environment.notes, progress)
    before = _before(request, update, keep=keep)
    with (
        make_room(request.lockfile, environment) as room,
        ThreadPoolExecutor(1) as beside,
        watching(room.status, seconds=request.timeout, where=request.where, progress=progress) as watch,
    ):
        work = CondaLock(request=request, environment=environment, room=room, watch=watch)
        reading = _Reading.begin(work, beside)
        conda = _conda_part(work, before, reading)
        _tell([f"conda-lock warns: {warning}" for warning in conda.warnings], progress)
        room.lockfile.write_bytes(without_absent(conda.lockfile))
        if environment.is_completed:
            _tell(add_wheels(_wheel_part(work, before, reading.confirmed())), progress)
        watch.now("writing the lockfile")
        _check_written(work)
        _replace(request.lockfile, _completed(work, before, progress))


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What is used of the existing lockfile: ``locks`` are kept if possible, except the packages in ``update``;
    ``newest`` are the dates that ``exclude_newer`` means.
    """

    update: tuple[str, ...] = ()
    locks: tuple[Lock, ...] = ()
    newest: Mapping[str, str | None] = field(default_factory=dict)

    def kept_urls(self) -> dict[str, list[str]]:
        """The conda packages to keep, for each platform."""
        return {
            lock.platform: [p.url for p in lock.packages if p.manager == "conda" and p.name not in self.update]
            for lock in self.locks
        }

    def kept_wheels(self) -> dict[str, dict[str, str]]:
        """The versions of wheels to keep, for each platform."""
        return {
            lock.platform: {
                p.name: p.version for p in lock.packages if p.manager == "pip" and p.name not in self.update
            }
            for lock in self.locks
        }


def _before(request: LockRequest, update: tuple[str, ...], *, keep: bool) -> _Before:
    locks = _check_update(request, update) if update else _kept(request) if keep else ()
    newest = cutoff(request.exclude_newer, request.lockfile if update or keep else None)
    return _Before(update=update, locks=locks, newest=newest)


def _check_update(request: LockRequest, update: tuple[str, ...]) -> tuple[Lock, ...]:
    """The existing lock of each platform; each package in ``update`` has to be in one of them."""
    known = locked_platforms(request.lockfile)
    locks = tuple(
        read_lock(request.lockfile, platform, tools=True) for platform in request.platforms if platform in known
    )
    names = {package.name for lock in locks for package in lock.packages}
    if strangers := [name for name in update if name not in names]:
        raise ConfigError(
            f"cannot update {', '.join(strangers)}: not locked for {', '.join(request.platforms)}",
            where=str(request.lockfile),
            remedy="To add a package, add it to environment.yml and lock without --update.",
        )
    return locks


def _kept(request: LockRequest) -> tuple[Lock, ...]:
    """The existing locks; none if the lockfile is unreadable, since it is about to be replaced."""
    try:
        known = set(locked_platforms(request.lockfile)) & set(request.platforms)
        return tuple(read_lock(request.lockfile, platform, tools=True) for platform in sorted(known))
    except (ConfigError, LockError):
        return ()


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """The specs that conda-lock reads in the files: ``here`` is our own reading, ``asked`` conda-lock's, which is run
    while packages are solved. Both are None if they are not needed.
    """

    work: CondaLock
    here: Rendered | None
    asked: Future[Rendered] | None

    @classmethod
    def begin(cls, work: CondaLock, beside: ThreadPoolExecutor) -> _Reading:
        here = read_here(work.environment, work.request.platforms)
        asked = beside.submit(work.render) if work.environment.is_completed and not here else None
        return cls(work=work, here=here, asked=asked)

    def confirmed(self) -> Rendered:
        """The reading that conda-lock's hash confirms, after the conda packages have been locked."""
        room, platforms = self.work.room, self.work.request.platforms
        if self.here and self.here.is_confirmed(room.lockfile, room.virtual, platforms):
            return self.here
        return self.asked.result() if self.asked else self.work.render()


def _conda_part(work: CondaLock, before: _Before, reading: _Reading) -> CondaPart:
    """Lock the conda packages with conda-lock, or as it would lock them."""
    request, room = work.request, work.room
    arguments = list[str]()
    if before.update:
        room.lockfile.write_bytes(without_tools(request.lockfile.read_bytes(), request.platforms))
        arguments = [f"--update={name}" for name in before.update if request.solver != OWN_SOLVER]
    solver = _solver(work, before)
    run = partial(work.part, ["--conda", str(solver), *arguments])
    # conda-lock is always run if conda's configuration, which we do not read, may matter
    replay = Replay.of(request, work.environment, room) if reading.here and not before.update else None
    return replay.part(solver, work.watch, run) if replay else run()


def _solver(work: CondaLock, before: _Before) -> Path:
    """The program that conda-lock runs as its conda; it also saves the virtual packages."""
    request, room = work.request, work.room
    kept = recording(room.path / "tmp", room.virtual)
    if request.solver != OWN_SOLVER:
        external = find_solver(request.solver, work.watch.run)
        return write_wrapper(room.path, external, room.status, kept)
    return write_launcher(room.path, _settings(work, before), kept)


def _settings(work: CondaLock, before: _Before) -> SolverSettings:
    """With our own solver, an update is a full solve that prefers locked packages.

    conda-lock's own ``--update`` passes only the named packages to the solver, so that other packages that change may
    violate environment.yml; and it cannot update a package that environment.yml does not list.
    """
    request, room = work.request, work.room
    return SolverSettings(
        variables=work.environment.variables | _mirror_variables(request.access),
        keep=before.kept_urls(),
        update=list(before.update),
        access=asdict(request.access),
        exclude_newer=dict(before.newest),
        specs=_whole_specs(request, work.environment),
        report=str(room.report),
        tools=str(room.tools),
        relations=str(room.relations) if request.relations else None,
        status=str(room.status),
        asked=str(room.asked),
    )


def _whole_specs(request: LockRequest, environment: Environment) -> dict[str, dict[str, str]]:
    """The full specs, for each platform and by the package's name, of those that conda-lock truncates."""
    return {
        platform: {name: str(spec.whole) for name, spec in environment.long_specs(platform).items()}
        for platform in request.platforms
    }


def _mirror_variables(access: Access) -> dict[str, str]:
    """The values of the environment variables in mirrors' URLs."""
    urls = [url for _, mirrors in access.mirrors for url in mirrors]
    return {name: value for url in urls for name, value in variables_of(url, where="channels.mirrors").items()}


def _wheel_part(work: CondaLock, before: _Before, read: Rendered) -> WheelPart:
    request, room = work.request, work.room
    return WheelPart(
        lockfile=room.lockfile,
        platforms=request.platforms,
        environment=work.environment,
        spec=read.asked,
        solved=read.solved,
        virtual=room.virtual,
        directory=room.path / "wheels",
        access=request.access,
        where=request.where,
        kept=before.kept_wheels(),
        injected=request.injected,
        exclude_newer=before.newest,
        watch=work.watch,
    )


def _check_written(work: CondaLock) -> None:
    """Refuse what a build would refuse: wheels that do not fit, and URLs with unknown variables."""
    request = work.request
    for platform in request.platforms:
        packages = read_lock(work.room.lockfile, platform).packages
        check_wheels(packages, request.where, request.injected)
        for package in packages:
            request.access.named(package.url, where=f"{request.where}: package {package.name}")


def _completed(work: CondaLock, before: _Before, progress: Progress) -> bytes:
    """The lockfile with the packages for bundles' decompressor, and with metadata about the settings."""
    request, room = work.request, work.room
    locked = room.lockfile.read_bytes()
    if request.solver == OWN_SOLVER:
        locked = with_tools(locked, room.tools, request.platforms, request.lockfile if before.update else None)
    said = cutoff_record(request.exclude_newer, before.newest) | _relations(work, progress)
    return with_recorded(locked, said)


def _relations(work: CondaLock, progress: Progress) -> dict[str, str | None]:
    """The lockfile's metadata about related channels that were added, which are also reported to ``progress``."""
    followed = read_followed(work.room.relations) if work.request.relations else None
    told = dict.fromkeys(one for found in (followed or {}).values() for one in found)
    _tell([f"packages may also come from related channel {one}" for one in told], progress)
    return relations_record(followed, recorded(work.room.lockfile))


def _tell(notes: Sequence[str], progress: Progress) -> None:
    for note in notes:
        progress.step(f"note: {note}")


def _replace(goal: Path, data: bytes) -> None:
    """Replace the content of ``goal`` atomically; a link remains a link, and a file keeps its mode."""
    goal = goal.resolve()
    try:
        mode = goal.stat().st_mode & 0o777 if goal.exists() else None
        write_file(goal, data, mode=mode, sync=True)
    except OSError as failed:
        raise LockError(f"cannot be written: {failed.strerror}", where=str(goal)) from failed

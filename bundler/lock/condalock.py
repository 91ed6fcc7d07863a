"""environment.yml -> conda-lock.yml, which is either written whole or not touched."""

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
    """Lock the environment anew; with ``update`` just these packages, and what else has to move with them; with
    ``keep`` nothing that still fits. ``progress`` is told what the user should know.

    With either option an age in ``exclude_newer`` means the date that it meant in the existing lockfile.

    The old lockfile, if there is one, stays as it was until the new one is complete. Raises :class:`ConfigError` for
    what is wrong with the request or the environment.yml, :class:`LockError` if there is no solution or a channel does
    not answer, :class:`MissingToolError` if there is no such solver.
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
    """What is left of the existing lockfile: ``locks`` are what stays if it can, but the packages of ``update``;
    ``newest`` are the dates that ``exclude_newer`` means.
    """

    update: tuple[str, ...] = ()
    locks: tuple[Lock, ...] = ()
    newest: Mapping[str, str | None] = field(default_factory=dict)

    def kept_urls(self) -> dict[str, list[str]]:
        """The conda packages that stay, for each platform."""
        return {
            lock.platform: [p.url for p in lock.packages if p.manager == "conda" and p.name not in self.update]
            for lock in self.locks
        }

    def kept_wheels(self) -> dict[str, dict[str, str]]:
        """The versions of wheels that stay, for each platform."""
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
    """The existing lock of each platform; all of ``update`` have to be in one of them."""
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
    """What is locked now; nothing of a lockfile that cannot be read, for it is about to be replaced."""
    try:
        known = set(locked_platforms(request.lockfile)) & set(request.platforms)
        return tuple(read_lock(request.lockfile, platform, tools=True) for platform in sorted(known))
    except (ConfigError, LockError):
        return ()


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What conda-lock reads in the files: ``here`` is our own reading, ``asked`` conda-lock's, which is on its way
    while packages are solved. Neither is there if nobody will want to know.
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
        """The one that counts, after the conda packages have been locked."""
        room, platforms = self.work.room, self.work.request.platforms
        if self.here and self.here.is_confirmed(room.lockfile, room.virtual, platforms):
            return self.here
        return self.asked.result() if self.asked else self.work.render()


def _conda_part(work: CondaLock, before: _Before, reading: _Reading) -> CondaPart:
    """The conda packages, by conda-lock, or as it would lock them."""
    request, room = work.request, work.room
    arguments = list[str]()
    if before.update:
        room.lockfile.write_bytes(without_tools(request.lockfile.read_bytes(), request.platforms))
        arguments = [f"--update={name}" for name in before.update if request.solver != OWN_SOLVER]
    solver = _solver(work, before)
    run = partial(work.part, ["--conda", str(solver), *arguments])
    # where conda's own configuration may matter, which is not looked at, conda-lock is always run
    replay = Replay.of(request, work.environment, room) if reading.here and not before.update else None
    return replay.part(solver, work.watch, run) if replay else run()


def _solver(work: CondaLock, before: _Before) -> Path:
    """What conda-lock is given as its conda; it also keeps the virtual packages in the room."""
    request, room = work.request, work.room
    kept = recording(room.path / "tmp", room.virtual)
    if request.solver != OWN_SOLVER:
        external = find_solver(request.solver, work.watch.run)
        return write_wrapper(room.path, external, room.status, kept)
    return write_launcher(room.path, _settings(work, before), kept)


def _settings(work: CondaLock, before: _Before) -> SolverSettings:
    """For our own solver an update is a full solve that prefers what is locked.

    conda-lock's own ``--update`` passes just the named packages on, so that a package which moves with them may end up
    outside of what environment.yml asks for; and it cannot move one that environment.yml does not name.
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
    """For each platform the specs, by the package's name, that conda-lock does not pass on whole."""
    return {
        platform: {name: str(spec.whole) for name, spec in environment.long_specs(platform).items()}
        for platform in request.platforms
    }


def _mirror_variables(access: Access) -> dict[str, str]:
    """The values of the environment variables that mirrors name."""
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
    """Refuse what a build would: wheels that do not fit, and URLs that nobody has named."""
    request = work.request
    for platform in request.platforms:
        packages = read_lock(work.room.lockfile, platform).packages
        check_wheels(packages, request.where, request.injected)
        for package in packages:
            request.access.named(package.url, where=f"{request.where}: package {package.name}")


def _completed(work: CondaLock, before: _Before, progress: Progress) -> bytes:
    """The lockfile with what bundles bring besides, and with what it says of how it was locked."""
    request, room = work.request, work.room
    locked = room.lockfile.read_bytes()
    if request.solver == OWN_SOLVER:
        locked = with_tools(locked, room.tools, request.platforms, request.lockfile if before.update else None)
    said = cutoff_record(request.exclude_newer, before.newest) | _relations(work, progress)
    return with_recorded(locked, said)


def _relations(work: CondaLock, progress: Progress) -> dict[str, str | None]:
    """What the lockfile says of channels that were taken in, of which ``progress`` is told."""
    followed = read_followed(work.room.relations) if work.request.relations else None
    told = dict.fromkeys(one for found in (followed or {}).values() for one in found)
    _tell([f"packages may also come from related channel {one}" for one in told], progress)
    return relations_record(followed, recorded(work.room.lockfile))


def _tell(notes: Sequence[str], progress: Progress) -> None:
    for note in notes:
        progress.step(f"note: {note}")


def _replace(goal: Path, data: bytes) -> None:
    """Give ``goal`` new content at one stroke; a link stays a link, a file keeps its mode."""
    goal = goal.resolve()
    try:
        mode = goal.stat().st_mode & 0o777 if goal.exists() else None
        write_file(goal, data, mode=mode, sync=True)
    except OSError as failed:
        raise LockError(f"cannot be written: {failed.strerror}", where=str(goal)) from failed

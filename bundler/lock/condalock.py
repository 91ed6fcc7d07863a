"""Runs conda-lock, and sees to it that a lockfile is either written whole or not touched."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.digests import file_sha256, sha256_of
from bundler.errors import ConfigError, LockError, MissingToolError
from bundler.fetch.channels import Access, variables_of
from bundler.lock.absent import without_absent
from bundler.lock.answers import Answer
from bundler.lock.cooldown import cutoff, cutoff_record
from bundler.lock.decompressor import with_tools, without_tools
from bundler.lock.environ import clean_environ
from bundler.lock.external import find_solver
from bundler.lock.launcher import (
    SolverSettings,
    read_failure,
    recording,
    write_launcher,
    write_refusing_launcher,
    write_wrapper,
)
from bundler.lock.lockfile import Lock, LockedPackage, locked_platforms, read_lock
from bundler.lock.pip import check_wheels
from bundler.lock.recorded import recorded, with_recorded
from bundler.lock.relations import read_followed, relations_record
from bundler.lock.rendered import Rendered, read_here
from bundler.lock.replay import CondaPart, Replay
from bundler.lock.request import (
    OWN_SOLVER,
    LockRequest,
    assumed_packages,
    checked_environment,
    virtual_packages_file,
)
from bundler.lock.room import Room, make_room
from bundler.lock.translate import CHANNELS_CHANGED, conda_lock_warnings, translate_conda_lock, translate_solver
from bundler.lock.unify import unseen_digest
from bundler.lock.views import shown_to_conda_lock, without_pip
from bundler.lock.watch import Watch, watching
from bundler.lock.wheelpart import WheelPart, add_wheels
from bundler.platforms import VIRTUAL_PACKAGES
from bundler.process import Finished, ToolFailed
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bundler.lock.environment import Environment
    from bundler.progress import Progress

__all__ = [
    "OWN_SOLVER",
    "Lock",
    "LockRequest",
    "LockedPackage",
    "conda_lock_command",
    "conda_lock_says_fresh",
    "read_lock",
    "write_lockfile",
]


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
    locks = _check_update(request, update) if update else _kept(request) if keep else ()
    newest = cutoff(request.exclude_newer, request.lockfile if update or keep else None)
    with (
        make_room(request.lockfile, environment) as room,
        ThreadPoolExecutor(1) as beside,
        watching(room.status, seconds=request.timeout, where=request.where, progress=progress) as watch,
    ):
        read, asked = read_here(environment, request.platforms), None
        if environment.is_completed and not read:
            asked = beside.submit(_render, request, environment, room, watch)
        arguments = list[str]()
        if update:
            room.lockfile.write_bytes(without_tools(request.lockfile.read_bytes(), request.platforms))
            arguments = [f"--update={name}" for name in update if request.solver != OWN_SOLVER]
        settings = replace(_solver_settings(environment, room.report, update=update, locks=locks), exclude_newer=newest)
        settings = replace(settings, specs=_whole_specs(request, environment))
        solver = _solver(request, settings, room, watch)
        # where conda's own configuration may matter, which is not looked at, conda-lock is always run
        replay = Replay.of(request, environment, room) if read and not update else None
        run = partial(_conda_part, request, environment, room, watch, ["--conda", str(solver), *arguments])
        conda = replay.part(solver, watch, run) if replay else run()
        _tell([f"conda-lock warns: {warning}" for warning in conda.warnings], progress)
        room.lockfile.write_bytes(without_absent(conda.lockfile))
        if environment.is_completed:
            if not read or not read.is_confirmed(room.lockfile, room.virtual, request.platforms):
                read = asked.result() if asked else _render(request, environment, room, watch)
            kept = {lock.platform: _kept_wheels(lock, update) for lock in locks}
            part = _wheel_part(request, environment, room, watch, read, kept)
            _tell(add_wheels(replace(part, exclude_newer=newest)), progress)
        watch.now("writing the lockfile")
        _check_written(request, room)
        locked = room.lockfile.read_bytes()
        if request.solver == OWN_SOLVER:
            locked = with_tools(locked, room.tools, request.platforms, request.lockfile if update else None)
        said = cutoff_record(request.exclude_newer, newest) | _relations(request, room, progress)
        _replace(request.lockfile, with_recorded(locked, said))


def _check_written(request: LockRequest, room: Room) -> None:
    """Refuse what a build would: wheels that do not fit, and URLs that nobody has named."""
    for platform in request.platforms:
        packages = read_lock(room.lockfile, platform).packages
        check_wheels(packages, request.where, request.injected)
        for package in packages:
            request.access.named(package.url, where=f"{request.where}: package {package.name}")


def _tell(notes: Sequence[str], progress: Progress) -> None:
    for note in notes:
        progress.step(f"note: {note}")


def _whole_specs(request: LockRequest, environment: Environment) -> dict[str, dict[str, str]]:
    """For each platform the specs, by the package's name, that conda-lock does not pass on whole."""
    return {
        platform: {name: str(spec.whole) for name, spec in environment.long_specs(platform).items()}
        for platform in request.platforms
    }


def _relations(request: LockRequest, room: Room, progress: Progress) -> dict[str, str | None]:
    """What the lockfile says of channels that were taken in, of which ``progress`` is told."""
    followed = read_followed(room.relations) if request.relations else None
    told = dict.fromkeys(one for found in (followed or {}).values() for one in found)
    _tell([f"packages may also come from channel {one}" for one in told], progress)
    return relations_record(followed, recorded(room.lockfile))


def _conda_part(
    request: LockRequest, environment: Environment, room: Room, watch: Watch, arguments: Sequence[str]
) -> CondaPart:
    """Have conda-lock lock the conda packages."""
    watch.now("starting conda-lock")
    finished = _conda_lock(request, environment, room, watch, arguments)
    if finished.status != 0:
        failed = ToolFailed(finished)
        if failure := read_failure(room.report):
            raise translate_solver(failure, request.where) from failed
        solver = Path(request.solver).name
        raise translate_conda_lock(failed, request.where, virtual_packages_file(request), solver) from failed
    return CondaPart(lockfile=room.lockfile.read_bytes(), warnings=conda_lock_warnings(finished.stderr))


def _solver(request: LockRequest, settings: SolverSettings, room: Room, watch: Watch) -> Path:
    """What conda-lock is given as its conda; it also keeps the virtual packages in the room."""
    kept = recording(room.path / "tmp", room.virtual)
    if request.solver != OWN_SOLVER:
        external = find_solver(request.solver, watch.run)
        return write_wrapper(room.path, external, room.status, kept)
    variables = settings.variables | _mirror_variables(request.access)
    settings = replace(settings, variables=variables, access=asdict(request.access), tools=str(room.tools))
    relations = str(room.relations) if request.relations else None
    settings = replace(settings, relations=relations, status=str(room.status), asked=str(room.asked))
    return write_launcher(room.path, settings, kept)


def _wheel_part(
    request: LockRequest,
    environment: Environment,
    room: Room,
    watch: Watch,
    read: Rendered,
    kept: Mapping[str, Mapping[str, str]],
) -> WheelPart:
    return WheelPart(
        lockfile=room.lockfile,
        platforms=request.platforms,
        environment=environment,
        spec=read.asked,
        solved=read.solved,
        virtual=room.virtual,
        directory=room.path / "wheels",
        access=request.access,
        where=request.where,
        kept=kept,
        injected=request.injected,
        watch=watch,
    )


def _kept_wheels(lock: Lock, update: tuple[str, ...]) -> dict[str, str]:
    return {p.name: p.version for p in lock.packages if p.manager == "pip" and p.name not in update}


def conda_lock_says_fresh(request: LockRequest, environment: Environment) -> bool:
    """conda-lock's own word on a lockfile for all platforms of ``request``, or what it said before."""
    answer = _answer(request, environment)
    if answer.known():
        return True
    with (
        make_room(request.lockfile, environment) as room,
        watching(room.status, seconds=request.timeout, where=request.where) as watch,
    ):
        watch.now("asking conda-lock whether it is fresh")
        shutil.copyfile(request.lockfile, room.lockfile)
        asked = room.path / "asked"
        conda = write_refusing_launcher(room.path, asked)
        arguments = ["--conda", str(conda), "--check-input-hash"]
        finished = _conda_lock(request, environment, room, watch, arguments, shown=shown_to_conda_lock)
        if asked.exists() or CHANNELS_CHANGED in finished.stderr:
            return False
        if finished.status not in (0, 4):  # 0 is what it does, 4 is what its help says
            failed = ToolFailed(finished)
            raise translate_conda_lock(failed, request.where, virtual_packages_file(request)) from failed
    answer.keep()
    return True


def _answer(request: LockRequest, environment: Environment) -> Answer:
    """conda-lock's, to all that it decides by: of a variable in a URL that is the name, so no credential is in it."""
    beside = request.lockfile.absolute().parent
    virtual = virtual_packages_file(request)
    inputs = {
        "lockfile": file_sha256(request.lockfile),
        "files": [(os.path.relpath(path, beside), sha256_of([data])) for path, data in environment.files],
        "channels": environment.overrides,
        "platforms": sorted(set(request.platforms)),
        "unseen": unseen_digest(environment),
        "exclude newer": request.exclude_newer,
        "virtual packages": virtual.read_text(encoding="utf-8") if virtual else assumed_packages(request),
    }
    return Answer.to(request.lockfile, inputs)


def _check_update(request: LockRequest, update: tuple[str, ...]) -> tuple[Lock, ...]:
    """The existing lock of each platform; all of ``update`` have to be in one of them."""
    known = locked_platforms(request.lockfile)
    locks = tuple(
        read_lock(request.lockfile, platform, tools=True) for platform in request.platforms if platform in known
    )
    names = {package.name for lock in locks for package in lock.packages}
    if strangers := [name for name in update if name not in names]:
        raise ConfigError(
            f"no package {', '.join(strangers)} is locked for {', '.join(request.platforms)}, so none can be updated",
            where=str(request.lockfile),
            remedy="To add a package, name it in environment.yml and lock without --update.",
        )
    return locks


def _kept(request: LockRequest) -> tuple[Lock, ...]:
    """What is locked now; nothing of a lockfile that cannot be read, for it is about to be replaced."""
    try:
        known = set(locked_platforms(request.lockfile)) & set(request.platforms)
        return tuple(read_lock(request.lockfile, platform, tools=True) for platform in sorted(known))
    except (ConfigError, LockError):
        return ()


def _solver_settings(
    environment: Environment, report: Path, *, update: tuple[str, ...], locks: Sequence[Lock]
) -> SolverSettings:
    """For our own solver an update is a full solve that prefers what is locked.

    conda-lock's own ``--update`` passes just the named packages on, so that a package which moves with them may end up
    outside of what environment.yml asks for; and it cannot move one that environment.yml does not name.
    """
    keep = {
        lock.platform: [p.url for p in lock.packages if p.manager == "conda" and p.name not in update] for lock in locks
    }
    return SolverSettings(variables=environment.variables, keep=keep, update=list(update), report=str(report))


def _mirror_variables(access: Access) -> dict[str, str]:
    """The values of the environment variables that mirrors name."""
    urls = [url for _, mirrors in access.mirrors for url in mirrors]
    return {name: value for url in urls for name, value in variables_of(url, where="channels.mirrors").items()}


def _conda_lock(
    request: LockRequest,
    environment: Environment,
    room: Room,
    watch: Watch,
    arguments: Sequence[str],
    *,
    shown: Callable[[bytes, Path], bytes] = without_pip,
) -> Finished:
    """Run it on what is ``shown`` of each file: without the entries of ``pip:``, unless said."""
    for copy, (path, data) in zip(room.environments, environment.files, strict=True):
        copy.write_bytes(shown(data, path))
    argv = [
        *conda_lock_command(),
        "lock",
        *arguments,
        *("--no-mamba", "--no-micromamba"),  # or it looks for one, and downloads it
        *("--lockfile", str(room.lockfile)),
        *_inputs(request, environment, room, room.environments),
    ]
    if request.virtual_packages:
        argv.append(f"--virtual-package-spec={request.virtual_packages.absolute()}")
    elif not virtual_packages_file(request):
        argv.append(f"--virtual-package-spec={_write_virtual_packages(request, room)}")
    return _run(request, environment, room, watch, argv)


def _render(request: LockRequest, environment: Environment, room: Room, watch: Watch) -> Rendered:
    """What conda-lock says that it reads in the files, and in what it is given to solve."""
    asked = _ask_what_is_read(request, environment, room, watch, shown_to_conda_lock)
    if not environment.selected:
        return Rendered(asked=asked, solved=asked)
    return Rendered(asked=asked, solved=_ask_what_is_read(request, environment, room, watch, without_pip))


def _ask_what_is_read(
    request: LockRequest, environment: Environment, room: Room, watch: Watch, shown: Callable[[bytes, Path], bytes]
) -> Any:
    """What conda-lock reads in what it is ``shown`` of each environment.yml."""
    copies = []
    for number, (path, data) in enumerate(environment.files):
        copies.append(room.path / "spec" / shown.__name__ / str(number) / path.name)
        copies[-1].parent.mkdir(parents=True)
        copies[-1].write_bytes(shown(data, path))
    argv = [*conda_lock_command(), "render-lock-spec", "--kind", "raw", "--stdout"]
    finished = _run(request, environment, room, watch, [*argv, *_inputs(request, environment, room, copies)])
    if finished.status != 0:
        failed = ToolFailed(finished)
        raise translate_conda_lock(failed, request.where, None) from failed
    return json.loads(finished.stdout)


def _inputs(request: LockRequest, environment: Environment, room: Room, copies: Sequence[Path]) -> list[str]:
    return [
        *("--pypi_to_conda_lookup_file", str(room.names)),
        *(f"--file={copy}" for copy in copies),
        *(f"--platform={platform}" for platform in sorted(set(request.platforms))),
        *(f"--channel={channel}" for channel in environment.overrides),
    ]


def _run(request: LockRequest, environment: Environment, room: Room, watch: Watch, argv: Sequence[str]) -> Finished:
    # there local channels in the file are found, and the virtual-packages.yml that conda-lock reads
    cwd = request.environments[0].absolute().parent
    return watch.run(argv, env=clean_environ(request, environment, room), cwd=cwd, check=False)


def _write_virtual_packages(request: LockRequest, room: Room) -> Path:
    path = room.path / VIRTUAL_PACKAGES[0]
    path.write_text(json.dumps({"subdirs": assumed_packages(request)}), encoding="utf-8")  # YAML, too
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


def _replace(goal: Path, data: bytes) -> None:
    """Give ``goal`` new content at one stroke; a link stays a link, a file keeps its mode."""
    goal = goal.resolve()
    temporary = goal.with_name(f".{goal.name}.{os.getpid()}")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(data)
                if goal.exists():
                    os.fchmod(file.fileno(), goal.stat().st_mode & 0o777)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(goal)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as failed:
        raise LockError(f"cannot be written: {failed.strerror}", where=str(goal)) from failed

"""Ask conda-lock whether a lockfile is up to date, if we cannot read an environment.yml ourselves."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from bundler.digests import file_sha256, sha256_of
from bundler.lock.environment.views import shown_to_conda_lock
from bundler.lock.freshness.answers import Answer
from bundler.lock.request import assumed_packages, virtual_packages_file
from bundler.lock.runner import CondaLock
from bundler.lock.shim.launcher import write_refusing_launcher
from bundler.lock.translate import CHANNELS_CHANGED, translate_conda_lock
from bundler.lock.unify import unseen_digest
from bundler.lock.watch import watching
from bundler.lock.workdir import make_room
from bundler.process import ToolFailed

if TYPE_CHECKING:
    from bundler.lock.environment.check import Environment
    from bundler.lock.request import LockRequest

__all__ = ["conda_lock_says_fresh"]


def conda_lock_says_fresh(request: LockRequest, environment: Environment) -> bool:
    """conda-lock's answer for all platforms of ``request``, which may be cached."""
    answer = _answer(request, environment)
    if answer.known():
        return True
    with (
        make_room(request.lockfile, environment) as room,
        watching(room.status, seconds=request.timeout, where=request.where) as watch,
    ):
        watch.now("asking conda-lock whether the lockfile is up to date")
        shutil.copyfile(request.lockfile, room.lockfile)
        asked = room.path / "asked"
        arguments = ["--conda", str(write_refusing_launcher(room.path, asked)), "--check-input-hash"]
        conda_lock = CondaLock(request=request, environment=environment, room=room, watch=watch)
        finished = conda_lock.lock(arguments, shown=shown_to_conda_lock)
        if asked.exists() or CHANNELS_CHANGED in finished.stderr:
            return False
        if finished.status not in (0, 4):  # 0 is what it does, 4 is what its help says
            failed = ToolFailed(finished)
            raise translate_conda_lock(failed, request.where, virtual_packages_file(request)) from failed
    answer.keep()
    return True


def _answer(request: LockRequest, environment: Environment) -> Answer:
    """The cached answer for all of conda-lock's inputs, which have the names of variables in URLs, not their values."""
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

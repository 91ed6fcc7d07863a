"""The environment variables that conda-lock and the solver below it are run with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bundler.lock.request import OWN_SOLVER

if TYPE_CHECKING:
    from bundler.fetch.channels import Access
    from bundler.lock.environment.check import Environment
    from bundler.lock.request import LockRequest
    from bundler.lock.workdir import Room

__all__ = ["clean_environ"]

_DROPPED = ("CONDA_", "MAMBA_", "PYTHON", "RUNNER_TEMP")
_KEPT = "CONDA_BUNDLER_"


def clean_environ(request: LockRequest, environment: Environment, room: Room) -> dict[str, str]:
    """Our environment without what would steer conda-lock, conda or Python from outside.

    Credentials of channels go to our own solver in its settings: conda-lock would put them on its command line, where
    everybody sees them, and into its messages.
    """
    environ = {
        name: value for name, value in os.environ.items() if name.startswith(_KEPT) or not name.startswith(_DROPPED)
    }
    if request.solver == OWN_SOLVER:
        for name in environment.variables:
            environ.pop(name, None)
    else:
        environ |= environment.variables | _external_settings(request.access)
    for name in set(environment.pip_variables) - set(() if request.solver == OWN_SOLVER else environment.variables):
        environ.pop(name, None)
    return environ | {"TMPDIR": str(room.path / "tmp"), "PYTHONUTF8": "1"}


def _external_settings(access: Access) -> dict[str, str]:
    """What conda and mamba are told by variables."""
    settings = {"CHANNEL_PRIORITY": access.priority} | ({"OFFLINE": "true"} if access.offline else {})
    return {f"{tool}_{name}": value for tool in ("CONDA", "MAMBA") for name, value in settings.items()}

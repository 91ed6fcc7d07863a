"""Plan the installation of an environment's locked wheels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler.errors import PrefixError
from bundler.wheels.install import plan_wheel
from bundler.wheels.python import Python
from bundler.wheels.read import check_fit, read_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundler.fetch.archives import Archive
    from bundler.wheels.install import Plan

__all__ = ["environment_python", "plan_wheels"]


def plan_wheels(archives: Iterable[Archive], python: Python) -> tuple[Plan, ...]:
    """The files that each wheel among ``archives`` will write. Raises :class:`PrefixError` if one does not fit."""
    plans = []
    for archive in archives:
        if archive.package.manager == "conda":
            continue
        wheel = read_wheel(archive.path)
        locked = archive.package
        if (wheel.name, wheel.version) != (canonicalize_name(locked.name), Version(locked.version)):
            raise PrefixError(
                f"the archive contains {wheel.name} {wheel.version}, but the lockfile says {locked.name} "
                f"{locked.version}",
                where=locked.filename,
                remedy="The lockfile was edited by hand; lock again.",
            )
        check_fit(wheel, python)
        plans.append(plan_wheel(locked, wheel, python))
    return tuple(plans)


def environment_python(archives: Iterable[Archive], platform: str) -> Python:
    """The environment's Python. Raises :class:`PrefixError` if there is none."""
    for archive in archives:
        if (archive.package.manager, archive.package.name) == ("conda", "python"):
            return Python.of(archive.index().document, platform)
    raise PrefixError(
        "no Python for the wheels",
        where=platform,
        remedy="Add python to the conda packages in environment.yml.",
    )

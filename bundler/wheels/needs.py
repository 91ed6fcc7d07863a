"""What wheels themselves say that they need, held against what was locked.

A lock is solved from what a package index says of a wheel (PEP 658), which should be what stands in the wheel. Where it
is not, or a lockfile was made so on purpose, something is missing, and no solver has seen it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.wheels.names import conda_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.locked import LockedPackage
    from bundler.wheels.python import Python
    from bundler.wheels.read import Wheel

__all__ = ["unmet"]


def unmet(wheels: Iterable[Wheel], packages: Iterable[LockedPackage], python: Python) -> Iterator[str]:
    """A sentence for each requirement of ``wheels`` that ``packages`` do not meet; extras are not looked at."""
    versions = {(one.manager, canonicalize_name(one.name)): one.version for one in packages}
    for wheel in wheels:
        for requirement in wheel.requires:
            if requirement.marker and not requirement.marker.evaluate(dict(python.markers)):
                continue
            name = canonicalize_name(requirement.name)
            at_conda = canonicalize_name(conda_names().get(name, name))
            found = versions.get(("pip", name)) or versions.get(("conda", at_conda))
            if found is None:
                yield f"the wheel {wheel.name} {wheel.version} needs {requirement}, which the lockfile does not have"
            elif _is_version(found) and not requirement.specifier.contains(found, prereleases=True):
                yield f"the wheel {wheel.name} {wheel.version} needs {requirement}; the lockfile has {name} {found}"


def _is_version(text: str) -> bool:
    """Whether a conda package's version is one of Python's; another is taken to be what is needed."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True

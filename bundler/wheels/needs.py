"""Check the locked packages against the requirements in the wheels themselves.

A lockfile is solved with the metadata on the package index (PEP 658), which should be that of the wheel. If it is not,
or a lockfile was manipulated, requirements may be missing, which no solver has noticed.
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
    """A note for each requirement of ``wheels`` that ``packages`` do not meet; extras are not checked."""
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
    """Whether a conda package's version is a PEP 440 version; others are assumed to meet any requirement."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True

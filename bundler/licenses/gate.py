"""A build's packages against ``[licenses]``, before anything is packed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.errors import LicenseError
from bundler.licenses.expression import normalize
from bundler.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.licenses.policy import Policy
    from bundler.locked import LockedPackage

__all__ = ["check_licenses"]

_REMEDY = (
    "Use a different package; or, to accept it, give the reason in [licenses.exceptions], or add its license to "
    "licenses.allow."
)


def check_licenses(policy: Policy, packages: Iterable[tuple[LockedPackage, str]], *, where: str) -> Iterator[str]:
    """What there is to say of the packages, each with what it says of its license.

    Raises :class:`LicenseError` with all that are refused.
    """
    if policy.is_empty:
        return
    refused, used, count = [], set[str](), 0
    for package, said in packages:
        count += 1
        keys = (f"{package.manager}:{package.name}", package.name)
        found = policy.judge(normalize(said), keys)
        told = f"{printable(package.name)} {printable(package.version)}"
        used.update(keys)
        if found.refused:
            refused.append(f"{told}: {printable(found.reason)}")
        elif found.verdict == "excepted":
            yield f"{told} is allowed by licenses.exceptions: {found.reason}"
        elif found.verdict == "unknown":
            yield f"{told}: its license was not checked: {printable(found.reason)}"
    for name in sorted(policy.exceptions.keys() - used):
        yield f"licenses.exceptions names {name}, which is not locked"
    if refused:
        many = "".join(f"\n  - {one}" for one in sorted(refused))
        raise LicenseError(
            f"the licenses of {counted(len(refused), 'package')} of {count} are refused:{many}"
            if len(refused) > 1
            else refused[0],
            where=f"{where}: licenses",
            remedy=_REMEDY,
        )

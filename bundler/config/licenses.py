"""``[licenses]`` of bundle.toml: which licenses a bundle's packages may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from bundler.config.fields import Line, Model
from bundler.licenses.expression import single
from bundler.licenses.policy import Policy

__all__ = ["LicensesTable"]

_PackageName = Annotated[str, StringConstraints(pattern=r"^((conda|pip):)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$")]
_Reason = Annotated[Line, Field(min_length=1)]


def _license(value: str) -> str:
    found = single(value)
    if found is None:
        raise ValueError(
            f"{value!r} is not one license as SPDX names it, such as MIT, GPL-3.0-only, or GPL-2.0-only WITH "
            "Classpath-exception-2.0; what SPDX does not know is LicenseRef-NAME"
        )
    return found


_License = Annotated[str, AfterValidator(_license)]


class LicensesTable(Model):
    """Which licenses a bundle's packages may have."""

    deny: tuple[_License, ...] = ()
    """Licenses that no package may have."""
    allow: tuple[_License, ...] = ()
    """The only licenses that packages may have. Unknown licenses are then refused, too."""
    exceptions: dict[_PackageName, _Reason] = Field(default_factory=dict)
    """Packages that are accepted whatever their license, each with a reason, which `build` prints; the prefix
    ``conda:`` or ``pip:`` distinguishes a conda package from a wheel."""

    def policy(self) -> Policy:
        return Policy(deny=self.deny, allow=self.allow, exceptions=self.exceptions)

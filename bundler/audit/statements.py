"""Our own statements on advisories, as in VEX: a file that lists those that do not apply, and why.

```toml
[[ignore]]
id = "CVE-2024-34064"            # or any other name of it
package = "jinja2"               # optional; default: all packages
reason = "we render no untrusted templates"
until = 2027-01-31               # optional
```
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field

from bundler.errors import ConfigError
from bundler.foreign import validate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["Statement", "read_statements"]

_Said = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Statement(BaseModel):
    """``id`` is any name of the advisory; ``package`` is the PyPI project, or the conda package that contains it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: _Said
    reason: _Said
    package: _Said | None = None
    until: dt.date | None = None

    def is_about(self, names: Collection[str], packages: Collection[str]) -> bool:
        """Whether it applies to an advisory with these names, in a package with one of these names."""
        wanted = canonicalize_name(self.package) if self.package else None
        return self.id in names and (wanted is None or wanted in map(canonicalize_name, packages))

    def holds(self, today: dt.date) -> bool:
        return self.until is None or today <= self.until

    def __str__(self) -> str:
        return f"{self.id} in {self.package}" if self.package else self.id


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ignore: tuple[Statement, ...] = ()


def read_statements(path: Path) -> tuple[Statement, ...]:
    """Raises :class:`ConfigError` if the file is invalid."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), remedy=_REMEDY) from error
    try:
        return validate(_File, document).ignore
    except ValueError as error:
        raise ConfigError(str(error), where=str(path), remedy=_REMEDY) from error


_REMEDY = "An entry is [[ignore]] with id and reason, and optionally package and until (a date, such as 2027-01-31)."

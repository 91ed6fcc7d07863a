"""The inputs of a build other than bundle.toml and lockfiles, each read only once.

So a file that is changed during a build affects only the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bundler.errors import ConfigError
from bundler.inject.files import WheelFile, find_local
from bundler.installer.activation import spec_variables
from bundler.pack.app import app_members

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.config.project import BundleConfig
    from bundler.inject.files import LocalFile
    from bundler.pack.members import Member
    from bundler.progress import Progress

__all__ = ["Inputs", "read_inputs"]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """``environments`` are the environment files with their content, of which ``categories`` are used.

    ``local`` are the packages named in ``[bundle] inject``, ``app`` is the content of app/, from ``[files]``.
    """

    environments: tuple[tuple[Path, bytes], ...]
    categories: tuple[str, ...]
    local: tuple[LocalFile, ...]
    app: tuple[Member, ...]

    @cached_property
    def variables(self) -> dict[str, str]:
        """The variables that the environment files set for services. Raises :class:`ConfigError` for these; locking
        reports other mistakes.
        """
        return spec_variables(self.environments, self.categories)

    @property
    def injected(self) -> frozenset[str]:
        """The names of the injected wheels."""
        return frozenset(one.wheel.name for one in self.local if isinstance(one, WheelFile))


def read_inputs(config: BundleConfig, progress: Progress) -> Inputs:
    """Read the inputs. Raises :class:`ConfigError` or :class:`PackError` if they are invalid."""
    environments = tuple((path, _read(path)) for path in config.environments)
    local = find_local(config)
    app = app_members(config.files, progress)
    return Inputs(environments=environments, categories=config.categories, local=local, app=app)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error

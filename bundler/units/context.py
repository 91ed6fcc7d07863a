"""What all units of a service are generated from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bundler.config.users import user_of
from bundler.units.contents import NOTHING
from bundler.units.unitfile import fill, free_text

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bundler.config.project import BundleConfig, Service
    from bundler.units.contents import Contents

__all__ = ["UnitContext"]


@dataclass(frozen=True, kw_only=True)
class UnitContext:
    """A service, its bundle, and what the release on the server contains.

    ``release`` is the release's absolute path on the server; ``executables`` are the executable files, relative to it,
    or None where no program is looked up; ``contents`` describes the environment.
    """

    config: BundleConfig
    service: Service
    release: str
    executables: AbstractSet[str] | None = None
    contents: Contents = NOTHING

    @property
    def user(self) -> str:
        """The user that it runs as."""
        return user_of(self.config, self.service)

    @cached_property
    def places(self) -> dict[str, str]:
        """The values of ``{app}`` and the other placeholders: absolute paths on the server."""
        return {
            "app": f"{self.release}/app",
            "env": f"{self.release}/env",
            "root": self.config.root,
            "state": f"/var/lib/{self.user}",
            "cache": f"/var/cache/{self.user}",
            "runtime": f"/run/{self.service.name}",
            **({"instance": "%i"} if self.service.numbers else {}),
        }

    def fill(self, text: str) -> str:
        """``text`` with its placeholders filled in."""
        return fill(text, self.places)

    def key(self, name: str) -> str:
        """The full name in bundle.toml of one of the service's keys, for errors."""
        return f"services.{self.service.name}.{name}"

    @property
    def description(self) -> str:
        """The service's name in ``Description=``, escaped; in a template with the instance's number."""
        return self._described(" %i" if self.service.numbers else "")

    @property
    def description_of_all(self) -> str:
        """The same for all instances at once."""
        return self._described("")

    def _described(self, number: str) -> str:
        config, service = self.config, self.service
        if service.numbers:
            return free_text(f"{config.description} ({service.name}") + f"{number})"
        return free_text(
            config.description if service.name == config.name else f"{config.description} ({service.name})"
        )

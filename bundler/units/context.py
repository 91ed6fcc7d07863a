"""What all units of a service are made from."""

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
    """A service, its bundle, where that is on the target, and what it has there.

    ``release`` is the release's absolute path on the target; ``executables`` are the paths below it that can be run,
    or None where no program is looked up; ``contents`` is what the environment has.
    """

    config: BundleConfig
    service: Service
    release: str
    executables: AbstractSet[str] | None = None
    contents: Contents = NOTHING

    @property
    def user(self) -> str:
        """As whom it runs."""
        return user_of(self.config, self.service)

    @cached_property
    def places(self) -> dict[str, str]:
        """What ``{app}`` and its like stand for: absolute paths on the target."""
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
        """``text`` with its places filled in."""
        return fill(text, self.places)

    def key(self, name: str) -> str:
        """Where in bundle.toml a key of the service's is, for errors."""
        return f"services.{self.service.name}.{name}"

    @property
    def description(self) -> str:
        """The service in a unit's ``Description=``, escaped; in a template with the instance's number."""
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

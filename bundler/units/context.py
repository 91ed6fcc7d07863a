"""What all units of a service are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bundler.units.contents import NOTHING
from bundler.units.unitfile import fill, free_text

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bundler.config.project import BundleConfig, Service
    from bundler.units.contents import Contents

__all__ = ["Locations", "UnitContext"]


@dataclass(frozen=True, kw_only=True)
class Locations:
    """Absolute paths on the target: of a release, and of its environment, which ``env`` in the release leads to."""

    release: str
    environment: str

    def of(self, path: str) -> str:
        """The real path of what is at ``path`` below the release."""
        top, slash, below = path.partition("/")
        return f"{self.environment}{slash}{below}" if top == "env" else f"{self.release}/{path}"

    def inside(self, path: str) -> str | None:
        """The other way round; None if it is in neither of them."""
        for where, top in ((self.environment, "env/"), (self.release, "")):
            if path.startswith(f"{where}/"):
                return top + path.removeprefix(f"{where}/")
        return None

    def shorten(self, text: str) -> str:
        """``text`` for people, with paths below the release."""
        return text.replace(f"{self.environment}/", "env/").replace(f"{self.release}/", "")


@dataclass(frozen=True, kw_only=True)
class UnitContext:
    """A service, its bundle, where that is on the target, and what it has there.

    ``executables`` are the paths below the release that can be run, or None where no program is looked up;
    ``contents`` is what the environment has.
    """

    config: BundleConfig
    service: Service
    where: Locations
    executables: AbstractSet[str] | None = None
    contents: Contents = NOTHING

    @property
    def release(self) -> str:
        """The release's absolute path on the target."""
        return self.where.release

    @property
    def mounts(self) -> str:
        """What a unit needs mounted to run a program of the release."""
        return f"{self.where.release} {self.where.environment}"

    @cached_property
    def places(self) -> dict[str, str]:
        """What ``{app}`` and its like stand for: absolute paths on the target."""
        return {
            "app": f"{self.release}/app",
            "env": self.where.environment,
            "root": self.config.root,
            "state": f"/var/lib/{self.config.name}",
            "cache": f"/var/cache/{self.config.name}",
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

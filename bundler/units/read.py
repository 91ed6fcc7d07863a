"""Parse a unit file: what it runs, and how it is sandboxed.

This reads the unit itself, as systemd will, whether a directive comes from the profile, the lockfile or an override.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bundler.units.sandbox import HARDENING

__all__ = ["UnitText"]

CONFINEMENT = {key: tuple(value for name, value in HARDENING if name == key) for key, _ in HARDENING}
"""The default sandbox of our services (systemd.exec(5))."""
_YES = frozenset({"1", "yes", "true", "on", "y", "t"})


@dataclass(frozen=True, kw_only=True)
class UnitText:
    """One unit file; ``directives`` are its (section, name, value), in order."""

    name: str
    directives: tuple[tuple[str, str, str], ...]

    @classmethod
    def parse(cls, name: str, text: str) -> UnitText:
        """Parse the subset of systemd.syntax(7) that our units use: there are no continuation lines."""
        section, found = "", []
        for line in text.split("\n"):  # the only line ending that systemd knows
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            elif "=" in line and line[:1] not in "#;":
                key, _, value = line.partition("=")
                found.append((section, key.strip(), value.strip()))
        return cls(name=name, directives=tuple(found))

    @property
    def is_service(self) -> bool:
        return self.name.endswith(".service")

    def get(self, section: str, key: str, default: str = "") -> str:
        """A directive's last value."""
        return next((value for at, name, value in reversed(self.directives) if (at, name) == (section, key)), default)

    @property
    def instances(self) -> str:
        """The instances of a template: how many, which units, and what starts them; empty for other units."""
        count, name = self.get("Unit", "X-Instances"), self.name.partition(".")[0]
        if not count:
            return ""
        units = f"{name}1 to {name}{count}" if count != "1" else f"{name}1"
        return f"{count}: {units}, started and stopped by {self.get('Unit', 'PartOf')}"

    @cached_property
    def confinement(self) -> tuple[tuple[str, str], ...]:
        """The directives that sandbox it, as they are in the file."""
        return tuple((key, value) for at, key, value in self.directives if at == "Service" and key in CONFINEMENT)

    @cached_property
    def exceptions(self) -> tuple[tuple[str, str], ...]:
        """The directives whose value differs from the default sandbox, with that value."""
        found = []
        for key, usual in CONFINEMENT.items():
            values = tuple(value for name, value in self.confinement if name == key)
            plain = tuple("yes" if value.lower() in _YES else value for value in values)
            if not values:
                found.append((key, "not set"))
            elif plain != usual:
                found.append((key, f"{_told(values)}, by default {_told(usual)}"))
        return tuple(found)


def _told(values: tuple[str, ...]) -> str:
    return " ".join(value for value in values if value) or "empty"

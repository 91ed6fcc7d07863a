"""``[services.*] unit``: systemd directives in addition to ours."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bundler.config.fields import Line, Model, check_places
from bundler.systemd.directives import DIRECTIVES, nearest

__all__ = ["UnitOverrides"]


def _directive_of(section: str) -> AfterValidator:
    known = DIRECTIVES[section]

    def check(name: str) -> str:
        if name not in known:
            others = [other for other, names in DIRECTIVES.items() if name in names]
            hint = f"; it belongs in [{others[0]}]" if others else nearest(name, known)
            raise ValueError(f"[{section}] has no directive {name!r}{hint}")
        return name

    return AfterValidator(check)


def _as_text(value: Any) -> Any:
    """Convert TOML's numbers and booleans to systemd's notation."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return str(value)
    return [_as_text(one) for one in value] if isinstance(value, list) else value


_UnitName = Annotated[str, _directive_of("Unit")]
_ServiceName = Annotated[str, _directive_of("Service")]
_TimerName = Annotated[str, _directive_of("Timer")]
_SocketName = Annotated[str, _directive_of("Socket")]
_InstallName = Annotated[str, _directive_of("Install")]
_Text = Annotated[Line, AfterValidator(check_places)]
_Input = str | bool | int | float | tuple[str | bool | int | float, ...]
_Setting = Annotated[_Text | tuple[_Text, ...], BeforeValidator(_as_text, json_schema_input_type=_Input)]


class UnitOverrides(Model):
    """Directives by section. Those that systemd accumulates are added to ours, and an empty string removes ours; all
    others replace ours. A list results in several lines."""

    Unit: dict[_UnitName, _Setting] = Field(default_factory=dict)
    """Directives of ``[Unit]`` (systemd.unit(5))."""
    Service: dict[_ServiceName, _Setting] = Field(default_factory=dict)
    """Directives of ``[Service]`` (systemd.service(5), systemd.exec(5), systemd.resource-control(5))."""
    Timer: dict[_TimerName, _Setting] = Field(default_factory=dict)
    """Directives of a job's ``[Timer]`` (systemd.timer(5))."""
    Socket: dict[_SocketName, _Setting] = Field(default_factory=dict)
    """Directives of the socket unit's ``[Socket]`` (systemd.socket(5))."""
    Install: dict[_InstallName, _Setting] = Field(default_factory=dict)
    """Directives of ``[Install]`` (systemd.unit(5))."""

    def section(self, name: str) -> dict[str, str | tuple[str, ...]]:
        """The overrides of ``[name]``."""
        found: dict[str, str | tuple[str, ...]] = getattr(self, name)
        return found

    def lines(self, section: str) -> dict[str, tuple[str, ...]]:
        """The overrides of ``[section]``, as lines."""
        return {key: (said,) if isinstance(said, str) else said for key, said in self.section(section).items()}

    def last(self, section: str, directive: str, default: str) -> str:
        """The final value of a directive with a single value."""
        given = self.section(section).get(directive, default)
        return given if isinstance(given, str) else (*given, "")[-1]

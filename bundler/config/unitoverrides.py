"""``[services.*] unit``: directives of systemd's beside ours. What is ours alone to set, and what it may not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bundler.config.fields import PLACE, Line, Model, check_places
from bundler.config.users import user_of
from bundler.systemd.accumulating import accumulates, is_whole
from bundler.systemd.directives import DIRECTIVES, nearest
from bundler.systemd.values import check_value
from bundler.systemd.words import check_specifiers, split_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig
    from bundler.config.services import Service

__all__ = ["UnitOverrides", "override_problems"]


def _directive_of(section: str) -> AfterValidator:
    known = DIRECTIVES[section]

    def check(name: str) -> str:
        if name not in known:
            others = [other for other, names in DIRECTIVES.items() if name in names]
            hint = f"; it belongs into [{others[0]}]" if others else nearest(name, known)
            raise ValueError(f"[{section}] has no directive {name!r}{hint}")
        return name

    return AfterValidator(check)


def _as_text(value: Any) -> Any:
    """TOML's numbers and booleans as systemd writes them."""
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
    """Directives by section. Those that systemd accumulates are added to ours, an empty string takes ours away; any
    other is put in the place of ours. A list gives several lines."""

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
        """The overrides of ``[section]``, a line each."""
        return {key: (said,) if isinstance(said, str) else said for key, said in self.section(section).items()}

    def last(self, section: str, directive: str, default: str) -> str:
        """What the directive has in the end, as far as it has one value."""
        given = self.section(section).get(directive, default)
        return given if isinstance(given, str) else (*given, "")[-1]


_RESERVED = {
    "ExecStart": "what is started is services.{name}.command",
    "Type": 'set services.{name}.type, "exec" or "notify", or a schedule for a job',
    "User": "services run as the bundle's own user, which its state belongs to; or set services.{name}.own_user",
    "Group": "services run as the bundle's own user and group; SupplementaryGroups adds to them",
    "DynamicUser": "services run as the bundle's own user, which its state belongs to; or set services.{name}.own_user",
}
_SOCKETS = {
    **{
        directive: "where it listens is services.{name}.socket"
        for directive in sorted(DIRECTIVES["Socket"])
        if directive.startswith("Listen")
    },
    "Service": "it is opened for services.{name}",
    "SocketUser": "a socket belongs to the bundle's own user",
    "SocketGroup": "set services.{name}.socket_group",
    "SocketMode": "set services.{name}.socket_mode",
    "Accept": "one process takes all connections",
    "MaxConnections": "systemd does not count the connections that one process takes",
    "MaxConnectionsPerSource": "systemd does not count the connections that one process takes",
}
_LISTED = {
    "StateDirectory": "{state}",
    "CacheDirectory": "{cache}",
    "LogsDirectory": "its logs' directory",
    "RuntimeDirectory": "{runtime}",
}
"""Directories that ours begin with, and the place that is lost without it."""


def override_problems(config: BundleConfig) -> list[str]:
    """What the overrides of all services may not say: what only we can set, and what systemd would not take."""
    return [problem for service in config.services for problem in _of_service(config, service)]


def _of_service(config: BundleConfig, service: Service) -> Iterator[str]:
    for section in DIRECTIVES:
        for directive, lines in service.table.unit.lines(section).items():
            where = f"services.{service.name}.unit.{section}.{directive}"
            reserved = {"Service": _RESERVED, "Socket": _SOCKETS}.get(section, {})
            if directive in reserved:
                yield f"{where}: is not for an override: " + reserved[directive].format(name=service.name)
                continue
            problems = [*_of_lines(section, directive, lines), *_of_ours(config, service, directive, lines)]
            yield from (f"{where}: {problem}" for problem in problems)
    if service.table.schedule and service.table.unit.last("Service", "Restart", "no") in ("always", "on-success"):
        yield (
            f"services.{service.name}.unit.Service.Restart: systemd refuses a job that is to run again whenever it has"
            " ended; write on-failure, or let the schedule do it"
        )


def _of_lines(section: str, directive: str, lines: tuple[str, ...]) -> Iterator[str]:
    """What systemd would not take of them."""
    values = [PLACE.sub(lambda found: found[1] or "/place", line) for line in lines if line]
    if not accumulates(section, directive) and len(values) > 1:
        yield "takes one value, of several lines the last one would count; write one"
    for value in values:
        try:
            if directive.startswith("Exec") and not directive.endswith(("Paths", "Path", "Type")):
                check_specifiers(value)
                split_words(value)
            elif not is_whole(directive, value):
                check_value(section, directive, value)
        except ValueError as error:
            yield str(error)


def _of_ours(config: BundleConfig, service: Service, directive: str, lines: tuple[str, ...]) -> Iterator[str]:
    """What our own lines of the same directive need."""
    secrets = {secret.name for secret in config.secrets}
    if "" in lines and directive in _LISTED:
        yield f"{_LISTED[directive]} is made by it and cannot be taken away; leave the empty string out"
    if "" in lines and directive in ("LoadCredential", "UnsetEnvironment") and secrets:
        yield f"which secrets it gets is for services.{service.name}.secrets to say; leave the empty string out"
    try:
        words = [word.text for line in lines for word in split_words(line)]
    except ValueError:
        return  # said already
    if directive in _LISTED and directive != "RuntimeDirectory":
        own = user_of(config, service)
        for word in words:
            if word != own and not word.startswith(f"{own}/"):
                yield (
                    f"{word!r} may be another program's; systemd would give it to this service. Write"
                    f" {own}/{word.strip('/')}"
                )
    if directive in _LISTED:
        yield from _of_directories(config, service, directive, words)
    if directive == "Environment":
        named = [word.partition("=")[0] for word in words]
        yield from (f"{name} is a secret as well" for name in named if name in secrets)
    if directive in ("LoadCredential", "SetCredential", "LoadCredentialEncrypted", "SetCredentialEncrypted"):
        named = [line.partition(":")[0] for line in lines]
        yield from (f"{name} is a secret as well" for name in named if name in secrets)


def _of_directories(config: BundleConfig, service: Service, directive: str, words: list[str]) -> Iterator[str]:
    """What the service could not make itself, as it has to inside its own directories (bundler.units.ownplaces)."""
    own = service.name if directive == "RuntimeDirectory" else user_of(config, service)
    strangers = {other.name for other in config.services if user_of(config, other) != user_of(config, service)}
    others = {other.name for other in config.services}
    for other in config.services:
        others |= {word for line in other.table.unit.lines("Service").get(directive, ()) for word in line.split()}
    for word in words:
        if word.startswith(f"{own}/") and ":" in word:
            yield f"{word!r} is inside the service's own directory; a link there is for the service to make"
        elif directive == "RuntimeDirectory" and word in strangers:
            yield f"/run/{word} is that of services.{word}, which runs as another user; systemd would take it away"
        elif directive == "RuntimeDirectory" and not word.startswith(f"{own}/"):
            inside = [other for other in sorted(others - {own}) if word.startswith(f"{other}/")]
            yield from (
                f"{word!r} is inside /run/{other}, which is a service's; systemd would follow a link that it has put"
                f" there. Write {own}/{word.rpartition('/')[2]}"
                for other in inside
            )

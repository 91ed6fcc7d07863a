"""``services.<name>.socket``: the socket unit, the service's directives for it, and whether the program supports it.

systemd holds the socket: it stays open while the service restarts or is upgraded, so clients wait instead of being
refused (systemd.socket(5)). A port below 1024 requires no capability of the service.

A service with a socket may still bind others (no ``SocketBindDeny=``), as metrics exporters and distributed workers do.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bundler.config.users import user_of
from bundler.units.addresses import service_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig, Service
    from bundler.units.context import UnitContext
    from bundler.units.unitfile import Lines, Sections

__all__ = ["socket_lines", "socket_notes", "socket_sections"]

_BACKLOG = 4096
"""The queue of connections; the kernel's default maximum (net.core.somaxconn)."""

_TAKERS: dict[str, tuple[str, ...]] = {
    "gunicorn": (),
    "uvicorn": ("--fd", "3"),
    "hypercorn": ("--bind", "fd://3"),
    "daphne": ("--fd", "3"),
}
"""Programs that accept a socket from systemd, and the arguments that this requires; gunicorn needs none."""
_OWN_OPENERS = {
    "waitress-serve": "call waitress.serve(app, sockets=[socket.socket(fileno=3)]) in your own program",
    "jupyter": "omit socket",
    "jupyter-lab": "omit socket",
    "jupyter-notebook": "omit socket",
    "jupyter-server": "omit socket",
}
"""Programs that open their address themselves, and what to do instead."""
_SHORT = {"-b": "--bind"}


def socket_sections(context: UnitContext) -> Sections:
    """The socket unit. It is ordered like a service, not before all of them: it may need the bundle's user."""
    service = context.service
    address = service.socket
    assert address is not None
    lines = [("ListenStream", address.listen), ("Backlog", str(_BACKLOG))]
    if address.of_one_network:
        lines.append(("FreeBind", "yes"))
    if address.path:
        lines += _of_path(service, context.config, address.path)
    else:  # the address filter applies to the unit that opens the socket (systemd.resource-control(5))
        lines += service_addresses(service)
    return {
        "Unit": (
            ("Description", f"Socket of {context.description}"),
            ("DefaultDependencies", "no"),
            ("Requires", "sysinit.target"),
            ("After", "sysinit.target"),
            ("Conflicts", "shutdown.target"),
            ("Before", "shutdown.target"),
        ),
        "Socket": tuple(lines),
        "Install": (("WantedBy", "multi-user.target"),),
    }


def _of_path(service: Service, config: BundleConfig, path: str) -> Lines:
    """The service's own directory has to exist, with the right owner, before the service starts.

    systemd's SocketUser= and SocketGroup= would follow a link that the service put there; chown -h does not.
    """
    user = user_of(config, service)
    group = service.table.socket_group or user
    own = (
        ("User", user),
        ("Group", user),
        ("RuntimeDirectory", service.name),
        ("RuntimeDirectoryPreserve", "yes"),
        ("ExecStartPre", "/bin/true"),  # systemd creates the directory when it starts a process
    )
    return (
        *(own if path.startswith(f"/run/{service.name}/") else ()),
        ("SocketMode", service.table.socket_mode or "0660"),
        ("ExecStartPost", f"+/bin/chown -h {user}:{group} {path}"),
        ("RemoveOnStop", "yes"),
    )


def socket_lines(service: Service) -> Lines:
    """The lines for it in the service's [Service]. {runtime} is kept when the service stops, if its socket is there."""
    if not service.socket or not service.socket_unit:
        return ()
    inside = service.socket.path.startswith(f"/run/{service.name}/")
    return (("Sockets", service.socket_unit), *((("RuntimeDirectoryPreserve", "yes"),) if inside else ()))


def socket_notes(config: BundleConfig) -> tuple[str, ...]:
    """The notes of ``build`` on the services' sockets."""
    return tuple(note for service in config.services if service.socket for note in _of_service(service))


def _of_service(service: Service) -> Iterator[str]:
    assert service.socket is not None
    where = f"services.{service.name}"
    if service.socket.variables:
        named = ", ".join(f"${{{name}}}" for name in service.socket.variables)
        yield (
            f"{where}.socket is {service.socket.listen} on every server: socket units do not read settings, so setting"
            f" {named} on a server does not change it; to change it: systemctl edit {service.socket_unit}"
        )
    program, arguments = _program(service.table.command)
    if program in _OWN_OPENERS:
        yield f"{where}.command: {program} does not accept a socket from systemd; {_OWN_OPENERS[program]}"
    elif program not in _TAKERS:
        yield (
            f"{where}.command: {program} must accept its socket from systemd (LISTEN_FDS, descriptor 3); a program that"
            " opens its address itself fails with 'address already in use'"
        )
    elif not _has(arguments, _TAKERS[program]) and f"{program.upper()}_FD" not in service.table.environment:
        yield f"{where}.command: {program} accepts its socket only with {' '.join(_TAKERS[program])}"


def _program(command: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The program's name and its arguments, behind an interpreter's ``-m``."""
    name = PurePosixPath(command[0]).name
    if name.startswith("python") and "-m" in command[:-1]:
        place = command.index("-m") + 1
        return command[place], command[place + 1 :]
    return name, command[1:]


def _has(arguments: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether ``wanted`` is among the arguments, as two words or joined by ``=``."""
    plain = [_SHORT.get(word, word) for word in arguments]
    text = " ".join(word.replace("=", " ", 1) if word.startswith("--") else word for word in plain)
    return not wanted or f" {' '.join(wanted)} " in f" {text} "

"""The sandbox of a service, and the exceptions that a service needs, each with its reason.

The effects of each directive were tested on systemd 247, 252 and 257 (systemd.exec(5)). An exception comes from the
payload's files, from a package's name, from the profile or from a key in bundle.toml; the manifest records why.

Three restrictions that would lower the exposure score by 0.1 are left out, because ordinary programs would break: they
use AF_NETLINK (getifaddrs), all of /proc (number of processors, boot time), and privileged system calls without having
the privilege: chown of their own files, setuid to their own user, capset to drop capabilities that they do not have
(ip, ping). The kernel refuses any other use of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.config.services import Service
    from bundler.units.contents import Contents

__all__ = [
    "GPU",
    "HARDENING",
    "WATCH",
    "Exemption",
    "confinement",
    "exemptions",
    "gpu_confinement",
    "installer_confinement",
    "is_on",
    "probe_confinement",
    "watch_confinement",
]

HARDENING = (
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateMounts", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectProc", "invisible"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectControlGroups", "yes"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("RemoveIPC", "yes"),
    ("KeyringMode", "private"),
    ("DevicePolicy", "closed"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged"),
    ("SystemCallFilter", "@chown @setuid capset"),
    ("SystemCallErrorNumber", "EPERM"),
    ("MemoryDenyWriteExecute", "yes"),
    ("UMask", "0077"),
)


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """A directive that is left out for a service, or has different values.

    ``values`` replace it, one per line; if there are none, it is left out. ``because`` names the file, the package, or
    the key of bundle.toml, such as ``profile = "beam"``.
    """

    directive: str
    values: tuple[str, ...] = ()
    because: str
    reason: str


_COMPILES = "compiles code at run time"

# Names in conda and PyPI; in addition to what the files show.
_PACKAGES: tuple[tuple[str, str, str], ...] = (
    ("dotnet-runtime", "MemoryDenyWriteExecute", _COMPILES),
    ("jax", "MemoryDenyWriteExecute", _COMPILES),
    ("jaxlib", "MemoryDenyWriteExecute", _COMPILES),
    ("libtorch", "MemoryDenyWriteExecute", _COMPILES),
    ("llvmlite", "MemoryDenyWriteExecute", _COMPILES),
    ("luajit", "MemoryDenyWriteExecute", _COMPILES),
    ("nodejs", "MemoryDenyWriteExecute", _COMPILES),
    ("numba", "MemoryDenyWriteExecute", _COMPILES),
    ("openjdk", "MemoryDenyWriteExecute", _COMPILES),
    ("pypy", "MemoryDenyWriteExecute", _COMPILES),
    ("pytorch", "MemoryDenyWriteExecute", _COMPILES),
    ("tensorflow", "MemoryDenyWriteExecute", _COMPILES),
    ("tensorflow-base", "MemoryDenyWriteExecute", _COMPILES),
    ("torch", "MemoryDenyWriteExecute", _COMPILES),
)


def exemptions(service: Service, contents: Contents) -> tuple[Exemption, ...]:
    """The exceptions for ``service`` in this environment; the first for a directive counts."""
    if service.table.hardening == "off":
        return ()
    return (*_of_keys(service), *_of_profile(service), *_of_files(contents), *_of_packages(contents.packages))


def confinement(service: Service, contents: Contents) -> tuple[tuple[str, str], ...]:
    """The directives that sandbox ``service``."""
    if service.table.hardening == "off":
        return ()
    return _without(exemptions(service, contents))


_NO = frozenset({"", "0", "no", "n", "false", "f", "off"})  # all that systemd reads as false


def is_on(service: Service, contents: Contents, directive: str) -> bool:
    """Whether the boolean ``directive`` is on for ``service``, its overrides included."""
    given = service.table.unit.lines("Service").get(directive)
    if given:
        return given[-1].lower() not in _NO
    return any(key == directive for key, _ in confinement(service, contents))


def _without(exempt: Iterable[Exemption]) -> tuple[tuple[str, str], ...]:
    """The default sandbox with these exceptions; the first for a directive counts."""
    instead: dict[str, Exemption] = {}
    for exemption in exempt:
        instead.setdefault(exemption.directive, exemption)
    kept = [(key, value) for key, value in HARDENING if key not in instead]
    given = [(key, value) for key, exemption in instead.items() for value in exemption.values]
    return (*kept, *given)


def _of_root(because: str, reason: str) -> tuple[Exemption, ...]:
    """Exceptions for a unit that runs as root: it runs none of the bundle's code, and talks only to systemd."""
    return (
        Exemption(directive="PrivateUsers", because=because, reason=f"{reason}; it runs none of the bundle's code"),
        Exemption(
            directive="RestrictAddressFamilies",
            values=("AF_UNIX",),
            because=because,
            reason="it talks only to systemd",
        ),
    )


WATCH = _of_root("watch", "it runs as root, since only root may restart units")
"""How the unit that restarts an unresponsive service differs. It runs as root but without capabilities: to allow a
restart, systemd checks the caller's user, not its capabilities."""


def watch_confinement() -> tuple[tuple[str, str], ...]:
    """The directives of that unit."""
    return _without(WATCH)


INSTALLER = _of_root("install.sh", "it writes files that root owns and talks to systemd as root")
"""What is different for the units that run ``manage`` at boot, first-boot and recover. Rights that depend on the
machine are added where the units are written (templates/lib/confinement.sh)."""


_MAKES_DEVICES = "it creates the GPU's device files and loads the driver's kernel modules"
GPU = (
    *_of_root("gpu = true", "only root may create device files"),
    *(
        Exemption(directive=directive, values=values, because="gpu = true", reason=_MAKES_DEVICES)
        for directive, values in (
            ("PrivateDevices", ()),
            ("DevicePolicy", ()),
            ("ProtectClock", ()),  # it allows only the clock's device and so denies all others
            ("ProtectKernelModules", ()),
            ("CapabilityBoundingSet", ("CAP_MKNOD CAP_SYS_MODULE CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE",)),
            ("SystemCallFilter", ("@system-service", "~@privileged", "@chown", "@module")),
        )
    ),
)
"""What is different for the unit that makes the GPU's device files."""


def gpu_confinement() -> tuple[tuple[str, str], ...]:
    """The directives of that unit; it needs no network."""
    return (*_without(GPU), ("PrivateNetwork", "yes"), ("IPAddressDeny", "any"))


def installer_confinement() -> tuple[tuple[str, str], ...]:
    """The directives of those units; they need no network."""
    return (*_without(INSTALLER), ("PrivateNetwork", "yes"), ("IPAddressDeny", "any"))


def probe_confinement(service: Service) -> tuple[tuple[str, str], ...]:
    """The directives of our own probe, which needs none of the service's exceptions."""
    return () if service.table.hardening == "off" else HARDENING


def _of_files(contents: Contents) -> Iterable[Exemption]:
    return (
        Exemption(directive="MemoryDenyWriteExecute", because=mark.where, reason=mark.reason) for mark in contents.marks
    )


def _of_packages(packages: frozenset[str]) -> Iterable[Exemption]:
    return (
        Exemption(
            directive=directive,
            because=package,
            reason=f"{package} {reason}",
        )
        for package, directive, reason in _PACKAGES
        if package in packages
    )


def _of_profile(service: Service) -> Iterator[Exemption]:
    profile = service.table.profile
    because = f'profile = "{profile}"'
    if profile == "generic":
        yield Exemption(
            directive="MemoryDenyWriteExecute", because=because, reason="an unknown program may compile while it runs"
        )


def _of_keys(service: Service) -> Iterator[Exemption]:
    if service.low_ports:
        because = f"ports = {list(service.low_ports)}"
        for directive in ("CapabilityBoundingSet", "AmbientCapabilities"):
            yield Exemption(
                directive=directive,
                values=("CAP_NET_BIND_SERVICE",),
                because=because,
                reason="ports below 1024 require this capability",
            )
        yield Exemption(
            directive="PrivateUsers",
            because=because,
            reason="capabilities in a private user namespace do not apply to ports",
        )
    if service.table.gpu:
        yield from (
            Exemption(directive=directive, values=values, because="gpu = true", reason=reason)
            for directive, values, reason in (
                ("PrivateDevices", (), "the GPU's device files are in /dev"),
                ("DeviceAllow", ("char-nvidia* rw",), "only NVIDIA's devices are allowed"),
                ("MemoryDenyWriteExecute", (), "NVIDIA's driver compiles kernels at run time"),
            )
        )

"""Directives of units that older versions of systemd do not support, and the consequences.

systemd ignores unknown directives, with a warning in the journal that nobody reads. install.sh, which knows the
server's version, says what the service loses, and refuses to install it if it would not work or not be confined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.systemd.accumulating import since

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Newer", "newer_directives"]

Directives = tuple[tuple[str, str, str], ...]
"""(section, name, value), in order."""

_BREAKS = "the service would not run as bundle.toml says"
_OPEN = "the service would run outside of the namespace that it is to be in"

_NEEDED = {
    **dict.fromkeys(
        """ExecCondition ExecSearchPath ExitType ExtensionDirectories ExtensionImages ImportCredential LoadCredential
        LoadCredentialEncrypted MountImages OpenFile ReloadSignal RootHash RootImageOptions RootVerity SetCredential
        SetCredentialEncrypted""".split(),  # noqa: SIM905 -- a list of strings would be read by nobody
        _BREAKS,
    ),
    **dict.fromkeys(("NetworkNamespacePath", "IPCNamespacePath"), _OPEN),
    "Restart with Type=oneshot": "systemd refuses such a unit",
}
"""Directives without which a service does not work, or is not confined at all."""

_LOST = {
    "BPFProgram": "no program filters what it does",
    "ExecPaths": "it may run programs from anywhere",
    "IOReadIOPSMax": "its reads are not limited",
    "MemoryZSwapMax": "its compressed swap is not limited",
    "NFTSet": "it is not in a set of the firewall's",
    "NoExecPaths": "it may run programs from anywhere",
    "PrivateIPC": "it shares System V's shared memory with others",
    "PrivatePIDs": "it sees other processes",
    "ProcSubset": "it reads all of /proc",
    "ProtectClock": "only its lack of rights keeps it from setting the clock",
    "ProtectHostname": "only its lack of rights keeps it from setting the host's name",
    "ProtectKernelLogs": "only its lack of rights keeps it from reading the kernel's log",
    "ProtectProc": "it sees other users' processes in /proc, with their command lines",
    "RestartMaxDelaySec": "pauses between its restarts do not grow",
    "RestartMode": "what depends on it is told of each restart",
    "RestartSteps": "pauses between its restarts do not grow",
    "RestrictAddressFamilies=none": "it may open sockets of every kind",
    "RestrictFileSystems": "it may open files on every kind of filesystem",
    "RestrictNetworkInterfaces": "it reaches every network interface",
    "RestrictSUIDSGID": "it may make setuid and setgid files, of its own user only",
    "SocketBindAllow": "it may bind every port",
    "SocketBindDeny": "it may bind every port",
    "AllowedCPUs": "it may use all processors",
    "AllowedMemoryNodes": "it may use the memory of all nodes",
    "CPUQuotaPeriodSec": "its CPUQuota= is counted by another period",
    "DisableControllers": "no controller is taken from it",
    "OnSuccess": "nothing is started when it has ended well",
    "PropagatesStopTo": "other units are not stopped with it",
    "StandardOutput=append:": "its output goes to the journal alone",
    "StandardError=append:": "its output goes to the journal alone",
    "StandardOutput=truncate:": "its output goes to the journal alone",
    "StandardError=truncate:": "its output goes to the journal alone",
    "StopPropagatedFrom": "it is not stopped with other units",
    "TimeoutAbortSec": "it has as long to abort as to stop",
    "TimeoutStartFailureMode": "it is ended as if it were stopped when it does not come up",
    "TimeoutStopFailureMode": "it is killed at once when it does not stop",
    "Type=exec": "a program that cannot be run is noticed only when the service has ended",
    "UpheldBy": "nothing starts it again",
    "Upholds": "other units are not started again with it",
}
"""What the lack of these means; of directives that are in neither table, nothing that matters is lost."""


@dataclass(frozen=True, kw_only=True)
class Newer:
    """A directive, or one with a certain value, that systemd supports from ``version`` on; ``units`` use it.

    ``needed``: older versions are refused. ``lost`` is the consequence of not having it, as a clause.
    """

    version: int
    directive: str
    needed: bool
    lost: str
    units: tuple[str, ...]

    def row(self) -> tuple[str, ...]:
        """The values for install.sh."""
        return (str(self.version), self.directive, "needed" if self.needed else "", self.lost, " ".join(self.units))


def newer_directives(units: Mapping[str, Directives]) -> tuple[Newer, ...]:
    """The directives that matter, by version and name; ``units`` maps names of units to their directives."""
    found: dict[tuple[int, str], set[str]] = {}
    for unit, directives in units.items():
        for version, what in _of_unit(directives):
            found.setdefault((version, what), set()).add(unit)
    return tuple(
        Newer(
            version=version,
            directive=what,
            needed=what in _NEEDED,
            lost=_NEEDED.get(what) or _LOST[what],
            units=tuple(sorted(names)),
        )
        for (version, what), names in sorted(found.items())
        if what in _NEEDED or what in _LOST
    )


def _of_unit(directives: Directives) -> Iterable[tuple[int, str]]:
    last = {(section, name): value for section, name, value in directives}
    for (_, name), value in last.items():
        version = since(name, value)
        if version:
            yield version, _called(name, value)
    if last.get(("Service", "Type")) == "oneshot" and last.get(("Service", "Restart"), "no") != "no":
        yield 244, "Restart with Type=oneshot"


def _called(name: str, value: str) -> str:
    """The key of _NEEDED and _LOST: the directive, or with its value if that is what is new, up to a colon."""
    word = f"{name}={value.partition(':')[0]}:" if ":" in value else f"{name}={value}"
    return word if word in _LOST or word in _NEEDED else name

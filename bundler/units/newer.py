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
_OPEN = "the service would run outside the namespace that bundle.toml specifies"

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
    "BPFProgram": "it runs without the BPF program",
    "ExecPaths": "it can execute programs from any path",
    "IOReadIOPSMax": "its read operations are not limited",
    "MemoryZSwapMax": "its compressed swap is not limited",
    "NFTSet": "it is not added to the firewall's sets",
    "NoExecPaths": "it can execute programs from any path",
    "PrivateIPC": "it shares System V IPC with other processes",
    "PrivatePIDs": "it can see other processes",
    "ProcSubset": "it can read all of /proc",
    "ProtectClock": "only missing capabilities prevent it from setting the clock",
    "ProtectHostname": "only missing capabilities prevent it from changing the host name",
    "ProtectKernelLogs": "only missing capabilities prevent it from reading the kernel log",
    "ProtectProc": "it can see other users' processes in /proc, with their command lines",
    "RestartMaxDelaySec": "the delay between restarts does not increase",
    "RestartMode": "units that depend on it are affected by each restart",
    "RestartSteps": "the delay between restarts does not increase",
    "RestrictAddressFamilies=none": "it can open sockets of any address family",
    "RestrictFileSystems": "it can open files on any type of file system",
    "RestrictNetworkInterfaces": "it can use any network interface",
    "RestrictSUIDSGID": "it can create setuid and setgid files, but only for its own user",
    "SocketBindAllow": "it can bind any port",
    "SocketBindDeny": "it can bind any port",
    "AllowedCPUs": "it can use all CPUs",
    "AllowedMemoryNodes": "it can use the memory of all NUMA nodes",
    "CPUQuotaPeriodSec": "its CPUQuota= applies to the default period",
    "DisableControllers": "its cgroup controllers stay enabled",
    "OnSuccess": "no units are activated when it ends successfully",
    "PropagatesStopTo": "other units are not stopped with it",
    "StandardOutput=append:": "its output goes only to the journal",
    "StandardError=append:": "its errors go only to the journal",
    "StandardOutput=truncate:": "its output goes only to the journal",
    "StandardError=truncate:": "its errors go only to the journal",
    "StopPropagatedFrom": "it is not stopped with other units",
    "TimeoutAbortSec": "its stop timeout also applies when it is aborted",
    "TimeoutStartFailureMode": "it is stopped in the usual way if its start times out",
    "TimeoutStopFailureMode": "it is killed immediately if its stop times out",
    "Type=exec": "a program that cannot be executed is noticed only after the start",
    "UpheldBy": "it is not restarted by the units that uphold it",
    "Upholds": "units that it upholds are not restarted",
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

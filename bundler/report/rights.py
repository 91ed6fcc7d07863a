"""Describe what a unit may and may not do, from the directives that systemd will read (systemd.exec(5))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundler.units.read import UnitText

__all__ = ["Right", "rights"]

_YES = frozenset({"1", "yes", "true", "on", "y", "t"})
_FAMILIES = {
    "AF_INET": "IPv4",
    "AF_INET6": "IPv6",
    "AF_UNIX": "Unix sockets",
    "AF_NETLINK": "netlink (to read addresses)",
}
_PLACES = (
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
    ("RuntimeDirectory", "/run"),
    ("ConfigurationDirectory", "/etc"),
)
_KERNEL = (
    ("ProtectClock", "the clock"),
    ("ProtectHostname", "the host name"),
    ("ProtectKernelTunables", "kernel settings"),
    ("ProtectKernelModules", "kernel modules"),
    ("ProtectKernelLogs", "the kernel's log"),
    ("ProtectControlGroups", "control groups"),
)
_OTHERS = (
    ("RestrictNamespaces", "create namespaces (containers)"),
    ("RestrictSUIDSGID", "create setuid programs"),
    ("RestrictRealtime", "use realtime scheduling"),
    ("LockPersonality", "change the execution domain"),
)
_LIMITS = (
    ("MemoryMax", "memory"),
    ("CPUQuota", "processor time"),
    ("TasksMax", "processes and threads"),
    ("LimitNOFILE", "open files"),
)


@dataclass(frozen=True, kw_only=True)
class Right:
    """``allowed``: it may do this; ``loosened``: it may do more than by default, for that ``reason``.

    ``directives`` are the names of the directives for it.
    """

    subject: str
    allowed: bool
    text: str
    directives: tuple[str, ...]
    loosened: bool = False
    reason: str = ""


def rights(unit: UnitText, reason: Callable[[str], str] = lambda _directive: "") -> tuple[Right, ...]:
    """All permissions and restrictions of a service's unit; ``reason`` returns why a directive is not the default."""
    different = {key for key, _ in unit.exceptions}
    found = []
    for right in _rights(unit):
        loosened = [one for one in right.directives if one in different]
        reasons = dict.fromkeys(filter(None, map(reason, loosened)))
        found.append(
            Right(
                subject=right.subject,
                allowed=right.allowed,
                text=right.text,
                directives=right.directives,
                loosened=bool(loosened),
                reason="; ".join(reasons),
            )
        )
    told = {directive for right in found for directive in right.directives}
    found += [
        Right(
            subject="more",
            allowed=True,
            text=f"{key}: {how}",
            directives=(key,),
            loosened=True,
            reason=reason(key),
        )
        for key, how in unit.exceptions
        if key not in told
    ]
    return tuple(found)


def _rights(unit: UnitText) -> Iterator[Right]:
    yield _may("identity", f"runs as {_value(unit, 'User') or 'root'}", "User")
    yield from _of_root(unit)
    yield from _files(unit)
    yield from _network(unit)
    yield from _devices(unit)
    yield from _others(unit)
    yield from _code(unit)
    limits = [f"{what} {value}" for key, what in _LIMITS if (value := _value(unit, key))]
    if limits:
        yield _not("limits", f"may use at most: {', '.join(limits)}", *(key for key, _ in _LIMITS if _value(unit, key)))


def _of_root(unit: UnitText) -> Iterator[Right]:
    given = _words(unit, "CapabilityBoundingSet")
    bounded = any(key == "CapabilityBoundingSet" for _, key, _ in unit.directives)
    if bounded and not given:
        yield _not("capabilities", "has no capabilities", "CapabilityBoundingSet")
    elif bounded:
        told = f"may have these capabilities: {', '.join(given)}"
        yield _may("capabilities", told, "CapabilityBoundingSet", "AmbientCapabilities")
    elif _value(unit, "User") in ("", "root", "0"):
        yield _may("capabilities", "has all capabilities of root", "CapabilityBoundingSet")
    if _is_on(unit, "NoNewPrivileges"):
        yield _not("capabilities", "cannot gain any, not even by setuid programs", "NoNewPrivileges")
    else:
        yield _may("capabilities", "may gain more by setuid programs such as sudo", "NoNewPrivileges")


def _files(unit: UnitText) -> Iterator[Right]:
    places = [f"{above}/{name}" for key, above in _PLACES for name in _words(unit, key)]
    places += [one.lstrip("-+") for one in _words(unit, "ReadWritePaths")]
    own = f" except {', '.join(dict.fromkeys(places))}" if places else ""
    protected = _value(unit, "ProtectSystem").lower()
    if protected == "strict":
        yield _not("files", f"may write nowhere{own}", "ProtectSystem")
    elif protected == "full":
        yield _may("files", f"may write where its user may, but not below /usr, /boot and /etc{own}", "ProtectSystem")
    elif protected in _YES:
        yield _may("files", f"may write where its user may, but not below /usr and /boot{own}", "ProtectSystem")
    else:
        yield _may("files", "may write wherever its user may", "ProtectSystem")
    home = _value(unit, "ProtectHome").lower()
    if home in _YES or home == "tmpfs":
        yield _not("files", "sees nothing in /home and /root", "ProtectHome")
    elif home == "read-only":
        yield _may("files", "may read /home and /root as its user may, but not write there", "ProtectHome")
    else:
        yield _may("files", "may access /home and /root as its user may", "ProtectHome")
    if _is_on(unit, "PrivateTmp"):
        yield _not("files", "has its own /tmp", "PrivateTmp")
    else:
        yield _may("files", "shares /tmp with all other processes", "PrivateTmp")
    credentials = [one.partition(":")[0] for key in ("LoadCredential", "SetCredential") for one in _values(unit, key)]
    if credentials:
        yield _may("secrets", f"gets these as files: {', '.join(credentials)}", "LoadCredential")
    if any(one.endswith("/secrets.env") for one in _values(unit, "EnvironmentFile")):
        withheld = _words(unit, "UnsetEnvironment")
        but = f" except {', '.join(withheld)}" if withheld else ""
        yield _may("secrets", f"gets secrets as variables{but}", "EnvironmentFile", "UnsetEnvironment")


def _network(unit: UnitText) -> Iterator[Right]:
    if _is_on(unit, "PrivateNetwork"):
        yield _not("network", "has no network", "PrivateNetwork")
        return
    families = _words(unit, "RestrictAddressFamilies")
    if families and not families[0].startswith("~"):
        known = ", ".join(_FAMILIES.get(one, one) for one in families)
        only = families == ["AF_UNIX"]
        yield (_not if only else _may)("network", f"may use only {known}", "RestrictAddressFamilies")
    else:
        yield _may("network", "may use any address family", "RestrictAddressFamilies")
    if {"AF_INET", "AF_INET6"} & set(families) or not families:
        denied, given = _words(unit, "IPAddressDeny"), _words(unit, "IPAddressAllow")
        if "any" in denied:
            told = ", ".join("this machine itself" if one == "localhost" else one for one in given) or "no address"
            yield _not("network", f"communicates only with: {told}", "IPAddressDeny", "IPAddressAllow")
        else:
            yield _may("network", "may communicate with any address", "IPAddressDeny")


def _devices(unit: UnitText) -> Iterator[Right]:
    allowed = _values(unit, "DeviceAllow")
    if _is_on(unit, "PrivateDevices"):
        yield _not("devices", "has no devices except pseudo-devices such as /dev/null", "PrivateDevices")
    elif _value(unit, "DevicePolicy") in ("closed", "strict"):
        told = f"may open these devices: {', '.join(allowed) or 'only pseudo-devices'}"
        yield _may("devices", told, "PrivateDevices", "DevicePolicy", "DeviceAllow")
    else:
        yield _may("devices", "may open any device that its user may", "PrivateDevices", "DevicePolicy")


def _others(unit: UnitText) -> Iterator[Right]:
    if _value(unit, "ProtectProc") in ("invisible", "noaccess"):
        yield _not("other processes", "cannot see those of other users", "ProtectProc")
    else:
        yield _may("other processes", "can see those of all users", "ProtectProc")
    if not _is_on(unit, "PrivateUsers"):
        yield _may("other processes", "runs in the host's user namespace", "PrivateUsers")
    closed = [what for key, what in _KERNEL if _is_on(unit, key)]
    opened = [(key, what) for key, what in _KERNEL if not _is_on(unit, key)]
    if closed:
        yield _not("the system", f"may not change {_listed(closed)}", *(key for key, _ in _KERNEL if _is_on(unit, key)))
    if opened:
        told = f"may change {_listed([what for _, what in opened])}, if it has the capabilities"
        yield _may("the system", told, *(key for key, _ in opened))
    for allowed in (False, True):
        some = [(key, what) for key, what in _OTHERS if _is_on(unit, key) is not allowed]
        if some:
            told = f"{'may' if allowed else 'may not'} {_listed([what for _, what in some])}"
            yield (_may if allowed else _not)("the system", told, *(key for key, _ in some))


def _code(unit: UnitText) -> Iterator[Right]:
    if _is_on(unit, "MemoryDenyWriteExecute"):
        yield _not("code", "may not generate code at run time", "MemoryDenyWriteExecute")
    else:
        yield _may("code", "may generate code at run time (writable executable memory)", "MemoryDenyWriteExecute")
    calls = _values(unit, "SystemCallFilter")
    if calls:
        told = f"may make only these system calls: {' '.join(' '.join(calls).split())}"
        yield _not("code", told, "SystemCallFilter")
    else:
        yield _may("code", "may make any system call", "SystemCallFilter")


def _may(subject: str, text: str, *directives: str) -> Right:
    return Right(subject=subject, allowed=True, text=text, directives=directives)


def _not(subject: str, text: str, *directives: str) -> Right:
    return Right(subject=subject, allowed=False, text=text, directives=directives)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _value(unit: UnitText, key: str) -> str:
    return unit.get("Service", key)


def _is_on(unit: UnitText, key: str) -> bool:
    return _value(unit, key).lower() in _YES


def _values(unit: UnitText, key: str) -> list[str]:
    """The values of a list; an empty one resets it."""
    found: list[str] = []
    for section, name, value in unit.directives:
        if (section, name) == ("Service", key):
            found = [*found, value] if value else []
    return found


def _words(unit: UnitText, key: str) -> list[str]:
    return " ".join(_values(unit, key)).split()

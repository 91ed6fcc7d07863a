"""What a directive takes, as far as that can be known without systemd: what it would pass over, or refuse, is an error.

Checked as ``systemd-analyze verify`` does (systemd.exec(5), systemd.service(5), systemd.unit(5), systemd.timer(5),
systemd.socket(5), systemd.resource-control(5)); what only the server can know, that a path or a unit exists, is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.systemd import kinds
from bundler.systemd.calendar import check_calendar
from bundler.systemd.enumerations import BOOLEANS, ENUMERATIONS, TRUE_OR
from bundler.systemd.words import check_specifiers

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_value"]

_RANGES = {
    "Nice": (-20, 19),
    "OOMScoreAdjust": (-1000, 1000),
    "IOSchedulingPriority": (0, 7),
    "CPUSchedulingPriority": (1, 99),
    "IOWeight": (1, 10000),
    "StartupIOWeight": (1, 10000),
    "StartLimitBurst": (0, 2**32 - 1),
    "LogRateLimitBurst": (0, 2**32 - 1),
    "FileDescriptorStoreMax": (0, 2**32 - 1),
    "RestartSteps": (0, 2**32 - 1),
    "Backlog": (0, 2**32 - 1),
    "KeepAliveProbes": (0, 2**32 - 1),
    "TriggerLimitBurst": (0, 2**32 - 1),
    "PollLimitBurst": (0, 2**32 - 1),
    "IPTTL": (0, 255),
    "Priority": (0, 2**31 - 1),
    "Mark": (0, 2**31 - 1),
}


def check_value(section: str, directive: str, value: str) -> None:
    """Raises ValueError if systemd would not take ``value``, not empty, for ``directive``; places are filled in."""
    if value.endswith("\\"):
        raise ValueError(f"{value!r} ends with a backslash, which would join the next line; write it twice")
    check = _CHECKS.get(directive)
    if check:
        check(value)
    elif directive in BOOLEANS:
        kinds.yes_or_no(value, TRUE_OR.get(directive, frozenset()))
    elif directive in ENUMERATIONS:
        kinds.one_of(value, ENUMERATIONS[directive])
    elif directive in _RANGES:
        kinds.whole_number(value, *_RANGES[directive])
    elif directive.startswith(("Condition", "Assert")) and section == "Unit":
        _condition(directive, value)


def _condition(directive: str, value: str) -> None:
    bare = re.sub(r"^\|?\s*!?\s*", "", value)
    if re.search(r"Path|File|DirectoryNotEmpty", directive):
        kinds.absolute_path(bare)
    elif directive.endswith(("ACPower", "FirstBoot")):
        kinds.yes_or_no(bare)


def _table() -> dict[str, Callable[[str], object]]:
    found: dict[str, Callable[[str], object]] = {}
    for check, names in _BY_CHECK:
        found |= dict.fromkeys(names.split(), check)
    return found


_BY_CHECK: tuple[tuple[Callable[[str], object], str], ...] = (
    (
        kinds.unit_names,
        """
        After Before BindTo BindsTo Conflicts JoinsNamespaceOf OnFailure OnSuccess PartOf PropagateReloadFrom
        PropagateReloadTo PropagatesReloadTo PropagatesStopTo ReloadPropagatedFrom Requires Requisite
        StopPropagatedFrom Upholds Wants Alias Also RequiredBy UpheldBy WantedBy Sockets Slice Unit
        """,
    ),
    (kinds.mount_points, "RequiresMountsFor WantsMountsFor"),
    (
        kinds.absolute_paths,
        """
        ExecPaths NoExecPaths InaccessiblePaths InaccessibleDirectories ReadOnlyPaths ReadOnlyDirectories
        ReadWritePaths ReadWriteDirectories ExtensionDirectories Symlinks
        """,
    ),
    (kinds.bind_mounts, "BindPaths BindReadOnlyPaths"),
    (kinds.mounts_with_options, "TemporaryFileSystem"),
    (kinds.absolute_path, "RootDirectory RootImage IPCNamespacePath NetworkNamespacePath TTYPath"),
    (kinds.working_directory, "WorkingDirectory"),
    (kinds.environment_file, "EnvironmentFile"),
    (kinds.assignments, "Environment"),
    (kinds.variable_names, "UnsetEnvironment PassEnvironment"),
    (kinds.directories, "StateDirectory CacheDirectory LogsDirectory RuntimeDirectory ConfigurationDirectory"),
    (
        kinds.span,
        """
        RestartSec TimeoutStartSec TimeoutStopSec TimeoutAbortSec TimeoutSec TimeoutCleanSec WatchdogSec
        RuntimeMaxSec RuntimeRandomizedExtraSec RestartMaxDelaySec LogRateLimitIntervalSec CPUQuotaPeriodSec
        StartLimitInterval StartLimitIntervalSec JobTimeoutSec JobRunningTimeoutSec AccuracySec
        RandomizedDelaySec OnActiveSec OnBootSec OnStartupSec OnUnitActiveSec OnUnitInactiveSec
        ManagedOOMMemoryPressureDurationSec MemoryPressureThresholdSec DeferAcceptSec KeepAliveIntervalSec
        KeepAliveTimeSec PollLimitIntervalSec TriggerLimitIntervalSec
        """,
    ),
    (
        kinds.size,
        """
        MemoryMin MemoryLow MemoryHigh MemoryMax MemorySwapMax MemoryZSwapMax MemoryLimit StartupMemoryLow
        StartupMemoryHigh StartupMemoryMax StartupMemorySwapMax StartupMemoryZSwapMax DefaultMemoryLow
        DefaultMemoryMin PipeSize ReceiveBuffer SendBuffer
        """,
    ),
    (kinds.limit, "LimitNOFILE LimitNPROC LimitLOCKS LimitSIGPENDING LimitRTPRIO"),
    (kinds.limit_of_bytes, "LimitAS LimitCORE LimitDATA LimitFSIZE LimitMEMLOCK LimitMSGQUEUE LimitRSS LimitSTACK"),
    (kinds.limit_of_time, "LimitCPU LimitRTTIME"),
    (kinds.tasks, "TasksMax"),
    (kinds.quota, "CPUQuota"),
    (kinds.weight, "CPUWeight StartupCPUWeight"),
    (kinds.signal_name, "KillSignal FinalKillSignal ReloadSignal RestartKillSignal WatchdogSignal"),
    (
        kinds.mode,
        """
        UMask StateDirectoryMode CacheDirectoryMode LogsDirectoryMode RuntimeDirectoryMode
        ConfigurationDirectoryMode DirectoryMode
        """,
    ),
    (kinds.capabilities, "CapabilityBoundingSet AmbientCapabilities"),
    (kinds.families, "RestrictAddressFamilies"),
    (kinds.namespaces, "RestrictNamespaces"),
    (kinds.system_calls, "SystemCallFilter SystemCallLog"),
    (kinds.error_number, "SystemCallErrorNumber"),
    (kinds.addresses, "IPAddressAllow IPAddressDeny"),
    (kinds.output, "StandardOutput StandardError"),
    (kinds.documentation, "Documentation"),
    (kinds.credential, "LoadCredential LoadCredentialEncrypted SetCredential SetCredentialEncrypted"),
    (check_calendar, "OnCalendar"),
    (check_specifiers, "Description SyslogIdentifier"),
)
_CHECKS = _table()

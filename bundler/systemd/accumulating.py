"""Which directives of a unit add up, and which version of systemd brought which.

A directive that is here may come several times: each line adds to the ones before, an empty one takes those away
(systemd.unit(5)). Of any other the last line counts. Which there are, and what they take, is from `systemd
--dump-configuration-items` of 247, 252 and 257 and from systemd.exec(5), systemd.service(5), systemd.unit(5),
systemd.timer(5), systemd.socket(5) and systemd.resource-control(5).
"""

from __future__ import annotations

from bundler.systemd.directives import DIRECTIVES

__all__ = ["LISTS", "SINCE", "accumulates", "is_whole", "since"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LISTS: dict[str, frozenset[str]] = {
    "Unit": _names(
        """
        After Before BindTo BindsTo Conflicts Documentation JoinsNamespaceOf OnFailure OnSuccess PartOf
        PropagateReloadFrom PropagateReloadTo PropagatesReloadTo PropagatesStopTo ReloadPropagatedFrom Requires
        RequiresMountsFor RequiresOverridable Requisite RequisiteOverridable StopPropagatedFrom Upholds Wants
        WantsMountsFor
        """
    )
    | {name for name in DIRECTIVES["Unit"] if name.startswith(("Condition", "Assert"))},
    "Service": _names(
        """
        AllowedCPUs AllowedMemoryNodes AmbientCapabilities BPFProgram BindPaths BindReadOnlyPaths
        BlockIODeviceWeight BlockIOReadBandwidth BlockIOWriteBandwidth CPUAffinity CacheDirectory
        CapabilityBoundingSet ConfigurationDirectory Delegate DeviceAllow DisableControllers Environment
        EnvironmentFile ExecCondition ExecPaths ExecReload ExecSearchPath ExecStart ExecStartPost ExecStartPre
        ExecStop ExecStopPost ExtensionDirectories ExtensionImages IODeviceLatencyTargetSec IODeviceWeight
        IOReadBandwidthMax IOReadIOPSMax IOWriteBandwidthMax IOWriteIOPSMax IPAddressAllow IPAddressDeny
        IPEgressFilterPath IPIngressFilterPath ImportCredential InaccessibleDirectories InaccessiblePaths
        LoadCredential LoadCredentialEncrypted LogExtraFields LogFilterPatterns LogsDirectory MountImages NFTSet
        NUMAMask NoExecPaths OpenFile PassEnvironment ReadOnlyDirectories ReadOnlyPaths ReadWriteDirectories
        ReadWritePaths RestartForceExitStatus RestartPreventExitStatus RestrictAddressFamilies RestrictFileSystems
        RestrictNamespaces RestrictNetworkInterfaces RuntimeDirectory SecureBits SetCredential
        SetCredentialEncrypted SocketBindAllow SocketBindDeny Sockets StandardInputData StandardInputText
        StartupAllowedCPUs StartupAllowedMemoryNodes StateDirectory SuccessExitStatus SupplementaryGroups
        SystemCallArchitectures SystemCallFilter SystemCallLog TemporaryFileSystem UnsetEnvironment
        """
    ),
    "Timer": _names("OnActiveSec OnBootSec OnCalendar OnStartupSec OnUnitActiveSec OnUnitInactiveSec"),
    "Socket": _names("IPAddressAllow IPAddressDeny Symlinks"),
    "Install": _names("Alias Also RequiredBy UpheldBy WantedBy"),
}

_BOOLEAN = frozenset({"1", "yes", "y", "true", "t", "on", "0", "no", "n", "false", "f", "off"})
_WHOLE = {"RestrictNamespaces": _BOOLEAN, "Delegate": _BOOLEAN, "RestrictAddressFamilies": frozenset({"none"})}

_BROUGHT = {
    240: "IOReadIOPSMax",
    242: "ProtectHostname RestrictSUIDSGID NetworkNamespacePath DisableControllers",
    243: """CPUQuotaPeriodSec ExecCondition NUMAMask NUMAPolicy OOMPolicy TimeoutAbortSec OnClockChange
        OnTimezoneChange""",
    244: "AllowedCPUs AllowedMemoryNodes FinalKillSignal ProtectKernelLogs RestartKillSignal TimeoutCleanSec",
    245: "LogNamespace ProtectClock",
    246: "AssertEnvironment ConditionEnvironment CoredumpFilter RootHash RootHashSignature RootVerity",
    247: """FixedRandomDelay LoadCredential ManagedOOMMemoryPressure ManagedOOMSwap MountImages ProcSubset ProtectProc
        RootImageOptions SetCredential SystemCallLog TimeoutStartFailureMode TimeoutStopFailureMode""",
    248: """AssertCPUFeature ConditionCPUFeature ExecPaths ExtensionImages IPCNamespacePath
        ManagedOOMMemoryPressureLimit ManagedOOMPreference NoExecPaths PrivateIPC""",
    249: """AssertOSRelease BPFProgram ConditionFirmware ConditionOSRelease OnSuccess OnSuccessJobMode PropagatesStopTo
        SocketBindAllow SocketBindDeny StopPropagatedFrom Upholds""",
    250: """AssertCPUPressure AssertIOPressure AssertMemoryPressure ConditionCPUPressure ConditionIOPressure
        ConditionMemoryPressure ExecSearchPath ExitType LoadCredentialEncrypted RestrictFileSystems
        RestrictNetworkInterfaces RuntimeRandomizedExtraSec SetCredentialEncrypted TTYColumns TTYRows""",
    251: "ExtensionDirectories",
    252: "AssertCredential ConditionCredential StartupAllowedCPUs StartupAllowedMemoryNodes",
    253: "LogFilterPatterns MemoryZSwapMax OpenFile ReloadSignal",
    254: """DefaultStartupMemoryLow DelegateSubgroup ExtensionImagePolicy FileDescriptorStorePreserve ImportCredential
        MemoryKSM MemoryPressureThresholdSec MemoryPressureWatch MountImagePolicy RestartMaxDelaySec RestartMode
        RestartSteps RootEphemeral RootImagePolicy StartupMemoryHigh StartupMemoryLow StartupMemoryMax
        StartupMemorySwapMax StartupMemoryZSwapMax UpheldBy""",
    255: """CoredumpReceive NFTSet PollLimitBurst PollLimitIntervalSec SetLoginEnvironment
        SurviveFinalKillSignal""",
    256: "MemoryZSwapWriteback PassFileDescriptorsToExec WantsMountsFor",
    257: "BindLogSockets DeferReactivation ManagedOOMMemoryPressureDurationSec PrivatePIDs",
}
SINCE: dict[str, int] = {name: version for version, names in _BROUGHT.items() for name in names.split()}
"""The version of systemd that brought a directive, where that was after 239."""

_WORDS_SINCE = {
    ("PrivateTmp", "disconnected"): 257,
    ("PrivateUsers", "full"): 258,
    ("PrivateUsers", "identity"): 257,
    ("PrivateUsers", "self"): 257,
    ("ProtectControlGroups", "private"): 257,
    ("ProtectControlGroups", "strict"): 257,
    ("ProtectHostname", "private"): 258,
    ("RestartMode", "debug"): 257,
    ("RestrictAddressFamilies", "none"): 249,
    ("Type", "exec"): 240,
}
_BEGINNINGS_SINCE = {
    (directive, beginning): version
    for directive in ("StandardOutput", "StandardError")
    for beginning, version in (("append:", 240), ("truncate:", 248))
}


def accumulates(section: str, directive: str) -> bool:
    """Whether each line of ``directive`` adds to those before."""
    return directive in LISTS[section]


def is_whole(directive: str, value: str) -> bool:
    """Whether ``value`` says all there is to say of a directive that accumulates otherwise, such as ``yes``."""
    return value.lower() in _WHOLE.get(directive, frozenset())


def since(directive: str, value: str) -> int:
    """The version of systemd from which on it reads this line; 239 or lower: 0."""
    beginning = f"{value.partition(':')[0]}:"
    return max(
        SINCE.get(directive, 0),
        _WORDS_SINCE.get((directive, value), 0),
        _BEGINNINGS_SINCE.get((directive, beginning), 0),
    )

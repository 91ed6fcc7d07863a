"""Directives that take one of a few words, and the words (systemd.exec(5), systemd.service(5), systemd.unit(5))."""

from __future__ import annotations

__all__ = ["ADDRESS_FAMILIES", "BOOLEANS", "CALL_GROUPS", "CAPABILITIES", "ENUMERATIONS", "TRUE_OR"]

_ACTIONS = (
    "none reboot reboot-force reboot-immediate poweroff poweroff-force poweroff-immediate exit exit-force soft-reboot"
    " soft-reboot-force kexec kexec-force halt halt-force halt-immediate"
)
_JOBS = "fail replace replace-irreversibly isolate flush ignore-dependencies ignore-requirements"
_LEVELS = "emerg alert crit err warning notice info debug 0 1 2 3 4 5 6 7"
_FAILURES = "terminate abort kill"

ENUMERATIONS: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for names, words in (
        ("Restart", "no on-success on-failure on-abnormal on-watchdog on-abort always"),
        ("RestartMode", "normal direct debug"),
        ("KillMode", "control-group mixed process none"),
        ("OOMPolicy", "continue stop kill"),
        ("ExitType", "main cgroup"),
        ("NotifyAccess", "none main exec all"),
        ("DevicePolicy", "auto closed strict"),
        ("KeyringMode", "inherit private shared"),
        ("ProtectProc", "noaccess invisible ptraceable default"),
        ("ProcSubset", "all pid"),
        ("IOSchedulingClass", "none realtime best-effort idle 0 1 2 3"),
        ("CPUSchedulingPolicy", "other batch idle fifo rr"),
        ("ManagedOOMSwap ManagedOOMMemoryPressure", "auto kill"),
        ("ManagedOOMPreference", "none avoid omit"),
        ("CollectMode", "inactive inactive-or-failed"),
        ("LogLevelMax SyslogLevel", _LEVELS),
        ("FailureAction SuccessAction StartLimitAction JobTimeoutAction", _ACTIONS),
        ("OnFailureJobMode OnSuccessJobMode", _JOBS),
        ("TimeoutStartFailureMode TimeoutStopFailureMode", _FAILURES),
        ("MountFlags", "shared slave private"),
        ("NUMAPolicy", "default preferred bind interleave local"),
        ("UtmpMode", "init login user"),
        ("BindIPv6Only", "default both ipv6-only"),
        ("SocketProtocol", "udplite sctp mptcp"),
        ("Timestamping", "off us usec ns nsec"),
    )
    for name in names.split()
}

BOOLEANS = frozenset(
    """
    BindLogSockets BlockIOAccounting CPUAccounting CPUSchedulingResetOnFork CoredumpReceive DynamicUser IOAccounting
    IPAccounting IgnoreSIGPIPE GuessMainPID LockPersonality MemoryAccounting MemoryDenyWriteExecute MemoryKSM
    MemoryZSwapWriteback MountAPIVFS NoNewPrivileges NonBlocking PermissionsStartOnly PrivateDevices PrivateIPC
    PrivateMounts PrivateNetwork PrivatePIDs ProtectClock ProtectHostname ProtectKernelLogs ProtectKernelModules
    ProtectKernelTunables RemainAfterExit RemoveIPC RestrictRealtime RestrictSUIDSGID RootDirectoryStartOnly
    RootEphemeral SendSIGHUP SendSIGKILL SetLoginEnvironment SyslogLevelPrefix TTYReset TTYVHangup TTYVTDisallocate
    TasksAccounting DeferReactivation FixedRandomDelay OnClockChange OnTimezoneChange Persistent RemainAfterElapse
    WakeSystem AllowIsolate DefaultDependencies IgnoreOnIsolate OnFailureIsolate RefuseManualStart RefuseManualStop
    StopWhenUnneeded SurviveFinalKillSignal FileDescriptorStorePreserve MemoryPressureWatch PrivateTmp PrivateUsers
    ProtectControlGroups ProtectHome ProtectSystem RuntimeDirectoryPreserve Broadcast FlushPending FreeBind KeepAlive
    NoDelay PassCredentials PassFileDescriptorsToExec PassPacketInfo PassSecurity RemoveOnStop ReusePort
    SELinuxContextFromNet Transparent Writable
    """.split()  # noqa: SIM905 -- a list of eighty strings would be read by nobody
)
TRUE_OR: dict[str, frozenset[str]] = {
    "FileDescriptorStorePreserve": frozenset({"restart"}),
    "MemoryPressureWatch": frozenset({"auto", "skip"}),
    "PrivateTmp": frozenset({"disconnected"}),
    "PrivateUsers": frozenset({"self", "identity", "full"}),
    "ProtectControlGroups": frozenset({"private", "strict"}),
    "ProtectHome": frozenset({"read-only", "tmpfs"}),
    "ProtectHostname": frozenset({"private"}),
    "ProtectSystem": frozenset({"full", "strict"}),
    "RuntimeDirectoryPreserve": frozenset({"restart"}),
}
"""Those booleans that may be another word as well."""

CALL_GROUPS = frozenset(
    """
    @default @aio @basic-io @chown @clock @cpu-emulation @debug @file-system @io-event @ipc @keyring @known @memlock
    @module @mount @network-io @obsolete @pkey @privileged @process @raw-io @reboot @resources @sandbox @setuid @signal
    @swap @sync @system-service @timer
    """.split()  # noqa: SIM905
)
CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in """
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER
    FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE
    NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE
    SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
    """.split()  # noqa: SIM905
)
ADDRESS_FAMILIES = frozenset(
    f"AF_{name}"
    for name in """
    ALG APPLETALK ASH ATMPVC ATMSVC AX25 BLUETOOTH BRIDGE CAIF CAN DECnet ECONET FILE IB IEEE802154 INET INET6 IPX IRDA
    ISDN IUCV KCM KEY LLC LOCAL MCTP MPLS NETBEUI NETLINK NETROM NFC PACKET PHONET PPPOX QIPCRTR RDS ROSE ROUTE RXRPC
    SECURITY SMC SNA TIPC UNIX VSOCK WANPIPE X25 XDP
    """.split()  # noqa: SIM905
)


# --- preflight: services that may reach some addresses only ----------------------------------------------
# systemd filters addresses with BPF programs on control groups of version 2. Where these are not it says so in the
# journal and starts the service all the same (systemd.resource-control(5)), which nobody would read.

check_networks() {
    [ -n "$NETWORKS" ] && [ -z "$IMAGE" ] || return 0
    if [ "$SYSTEMD" != yes ]; then
        [ -z "$BARE" ] ||
            warn "network = … of $NETWORKS is not enforced without systemd" "Restrict their traffic with a firewall, by user."
    elif ! grep -q ' /sys/fs/cgroup cgroup2 ' /proc/self/mounts; then
        warn "network = … of $NETWORKS is not enforced: this machine's control groups are of version 1" \
            "Boot with systemd.unified_cgroup_hierarchy=1, or restrict their traffic with a firewall, by user."
    fi
}


# --- preflight: services that share a user ---------------------------------------------------------------
# A user namespace of its own keeps a service out of another one's environment, memory and credentials. Without systemd
# there is none, nor where the kernel has none.

check_sisters() {
    [ -n "$SISTERS" ] && [ -z "$IMAGE" ] || return 0
    if [ -n "$BARE" ]; then
        sisters_why="without systemd"
    elif has_no_user_namespaces; then
        sisters_why="on this kernel, which has no user namespaces (user.max_user_namespaces = 0),"
    else
        return 0
    fi
    warn "$sisters_why the services $SISTERS can read each other's environment and credentials: they run as one user" \
        "Build the bundle with services.X.own_user = true for those that must not."
}

has_no_user_namespaces() {
    read -r sisters_namespaces 2>/dev/null </proc/sys/user/max_user_namespaces && [ "$sisters_namespaces" = 0 ]
}


# --- directories in /run ---------------------------------------------------------------------------------
# systemd removes /run/SERVICE when the service stops, but not what sockets, hooks and "manage run" have used. After a purge
# its owner would not exist, and a later install would treat it as somebody else's.

own_run_dirs() {
    [ -z "$IMAGE" ] || return 0
    for run_unit in $(own_services); do
        run_dir=/run/$run_unit
        [ ! -d "$run_dir" ] || [ -L "$run_dir" ] || ! is_of_ours "$run_dir" || printf '%s\n' "$run_dir"
    done
}

# Without systemd, no units are installed, so this reads the releases.
own_services() {
    {
        owned_paths unit
        ls "$ROOT"/releases/*/units 2>/dev/null || :
    } | sed -n -e 's|@\.service$|.service|' -e 's|.*/||' -e 's|\.service$||p' | sort -u
}

remove_run_dirs() { # DIR...
    for run_dir in "$@"; do
        [ -L "$run_dir" ] || has_mount "$run_dir" || remove_as_owner "$run_dir" || warn "cannot remove $run_dir"
    done
}

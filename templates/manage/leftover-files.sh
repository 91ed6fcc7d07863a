
# --- what the service's user has left elsewhere ----------------------------------------------------------
# systemd gives a service a private /tmp and removes it. A hook, a command or a service without a sandbox may have used the
# machine's; after a purge, a new user may get the uid that owns those files. Root never traverses the service's
# directories: the user removes its files itself.

remove_leavings() { # of SERVICE_USER
    [ -z "$IMAGE" ] && has_entry passwd "$SERVICE_USER" || return 0
    set_leaver
    set --
    for leavings_place in /tmp /var/tmp /dev/shm; do
        [ ! -d "$leavings_place" ] || set -- "$@" "$leavings_place"
    done
    [ -n "$(all_leavings "$@")" ] || return 0
    (cd / && leaver find "$@" -xdev -depth -user "$leavings_uid" -delete) 2>/dev/null || :
    leavings=$(all_leavings "$@" | tr '\n' ' ')
    [ -z "$leavings" ] || warn "these still belong to the user $SERVICE_USER, which is being removed: $leavings" "Remove them."
}

# Removes a directory that its owner may be changing: busybox rm follows a link that has just replaced a directory.
remove_as_owner() { # DIR, in one of root's
    # shellcheck disable=SC2046 # words: mode, links, user, group
    set -- "$1" $(ls -ldn "$1" 2>/dev/null)
    [ $# -ge 5 ] || return 0 # gone by now: systemd removes it when the service has stopped
    leavings_uid=$4
    leavings_gid=$5
    if [ "$leavings_uid" = 0 ]; then
        rm -rf "$1"
    else
        (cd / && leaver find "$1" -xdev -depth ! -path "$1" -delete) 2>/dev/null || :
        rmdir "$1" 2>/dev/null
    fi
}

set_leaver() {
    leavings_uid=$(id -u "$SERVICE_USER")
    leavings_gid=$(id -g "$SERVICE_USER")
}

all_leavings() { # DIR...
    find "$@" -xdev -mindepth 1 -maxdepth 1 -user "$leavings_uid" 2>/dev/null || :
}

leaver() { # WORD...: as the user, with nothing of ours
    leavings_tool=$(path_of setpriv)
    if "$leavings_tool" --reuid 0 --clear-groups true 2>/dev/null; then
        set -- "$leavings_tool" --reuid="$leavings_uid" --regid="$leavings_gid" --clear-groups --no-new-privs -- "$@"
    else
        set -- "$(path_of chroot)" --userspec="$leavings_uid:$leavings_gid" --groups= / "$@"
    fi
    "$@"
}

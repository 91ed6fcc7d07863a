
# --- uninstall -------------------------------------------------------------------------------------------
# Nothing is removed that our record does not list. Cut off, it goes on when it is run again: the record goes last.

RUN_DIRS= # those of our services

uninstall() {
    if [ ! -d "$RECORD" ]; then # purged, and cut off before the last step
        REMOVED_WITH_MANAGE=$ROOT
        remove_manage
        return 0
    fi
    check_mounts
    check_processes
    [ -z "$PURGE" ] || confirm_purge
    RELEASE=$(current_release)
    # What runs stops anyway: the old value of a secret whose rotation was cut off comes back by itself.
    [ "$(transaction_value phase)" = rotated ] || put_old_secret
    begin_transaction "$([ -n "$PURGE" ] && echo purge || echo uninstall)"
    PHASE=removing
    RUN_DIRS=$(own_run_dirs)
    remove_units
    end_commands
    [ -z "$PURGE" ] || for_users end_processes
    [ ! -d "$ROOT" ] || remove_releases
    # shellcheck disable=SC2086 # names of units have no blanks
    remove_run_dirs $RUN_DIRS
    if [ -n "$PURGE" ]; then
        remove_traces
    else
        keep_traces
    fi
    PHASE="done"
}

check_mounts() {
    set -- "$ROOT/releases"
    # shellcheck disable=SC2086 # paths without blanks
    [ -z "$PURGE" ] || set -- "$1" $DIRECTORIES
    for mount_dir in "$@"; do
        ! has_mount "$mount_dir" ||
            die 10 "something is mounted at or below $mount_dir; nothing is removed" "Unmount it first."
    done
}

# Without systemd it is not ours to stop them.
check_processes() {
    [ -n "$BARE" ] || return 0
    for_users check_processes_of_user
    for run_release in $(owned release | sed 's/ .*//'); do
        ! is_in_use "$run_release" ||
            die 10 "processes of $run_release still run; nothing is removed" "Stop its services first."
    done
}

check_processes_of_user() {
    [ -n "$IS_ACCOUNT" ] || [ -z "$(find /proc/[0-9]* -prune -user "$SERVICE_USER" 2>/dev/null)" ] ||
        die 10 "processes of the user $SERVICE_USER still run; nothing is removed" "Stop its services first."
}

confirm_purge() {
    [ -z "$YES" ] || return 0
    purge_user=
    purge_state=
    for_users note_purged
    printf 'This removes %s from this machine with its settings, secrets, state (%s)%s.\nType its name to go on: ' \
        "$NAME" "$purge_state" "$purge_user" >&2
    purge_answer=
    IFS= read -r purge_answer || :
    [ "$purge_answer" = "$NAME" ] || die 2 "nothing is removed" "Type the name, or give --yes."
}

note_purged() {
    purge_state=$purge_state${purge_state:+, }$STATE
    case $purge_user,$IS_ACCOUNT in
        *,yes) ;;
        ,) purge_user=" and user" ;;
        *) purge_user=" and users" ;;
    esac
}

remove_units() {
    # A connection would start again what has been stopped.
    for own_socket in $(our_sockets); do
        control stop "$own_socket" >/dev/null 2>&1 || :
    done
    for own_instance in $(owned instance); do
        remove_instance "$own_instance"
    done
    for own_unit in $(owned_paths unit); do
        [ -z "$PURGE" ] || remove_stamp "${own_unit##*/}"
        remove_unit "$own_unit"
    done
    if [ -n "$PURGE" ]; then # those of earlier releases
        for own_unit in $(owned was | sed 's/ .*//'); do
            remove_stamp "$own_unit"
        done
    fi
    load_units
}

# When a timer was last due, which systemd keeps for good.
remove_stamp() { # UNIT
    case $1 in
        *.timer) rm -f "/var/lib/systemd/timers/stamp-$1" || die 12 "cannot remove /var/lib/systemd/timers/stamp-$1" ;;
    esac
}

remove_releases() {
    rm -f "$ROOT/current" "$ROOT/.current.new" || die 12 "cannot remove $ROOT/current"
    for own_release in $(owned release | sed 's/ .*//'); do
        remove_release "$own_release"
    done
    remove_leftovers
    remove_old_copies
}

# All but this very script: as long as it is there, it can be run again.
remove_root() {
    remove_launchers
    drop_old_secret
    rm -f "$RECORD/first-boot" || die 12 "cannot remove $RECORD/first-boot"
    [ -z "$ROOT" ] || rm -f "$ROOT/history" "$ROOT/.history.new" "$ROOT/.manage.new" ||
        die 12 "cannot remove $ROOT/history"
    REMOVED_WITH_MANAGE=$(owned_paths made | sort -r)
    remove_made_dirs
}

remove_launchers() {
    [ -n "$BARE" ] && [ -d "$ROOT/bin" ] || return 0
    rm -f "$ROOT"/bin/run-* || die 12 "cannot remove $ROOT/bin/run-*"
    unclaim "bare $NAME"
}

# Nobody needs the record for this any more.
remove_manage() {
    [ -n "$ROOT" ] || return 0
    rm -f "$ROOT/manage" || die 12 "cannot remove $ROOT/manage"
    for made_dir in $REMOVED_WITH_MANAGE; do
        [ -L "$made_dir" ] || rmdir "$made_dir" 2>/dev/null || :
    done
    [ ! -e "$ROOT" ] || [ -z "$(find "$ROOT" ! -type d)" ] ||
        warn "$ROOT contains files that are not ours; they are kept" "Inspect it."
}

# What stays is claimed still: a later install finds it its own.
keep_traces() {
    unclaim release
    unclaim was
    unclaim hooked
    remove_root
    unclaim made
    [ -z "$ROOT" ] || unclaim "root $ROOT"
    drop_transaction
    keep_kept=
    for_users note_kept
    say "is uninstalled; kept: $ETC$keep_kept"
    remove_manage
}

note_kept() {
    keep_kept="$keep_kept, $STATE, the user $SERVICE_USER"
}

remove_traces() {
    for trace in $(owned_paths dir); do
        remove_tree "$trace"
    done
    for_users remove_own_user
    remove_root
    rm -f "$RECORD"/.*.new "$RECORD/owned" "$RECORD/transaction" ||
        die 12 "cannot remove $RECORD"
    rmdir "$RECORD" || die 12 "cannot remove $RECORD" "Check what is in it."
    rmdir "${RECORD%/*}" 2>/dev/null || :
    say "is removed from this machine${IS_ACCOUNT:+; the user $SERVICE_USER was there before and stays}"
    remove_manage
}

# Commands of manage exec are not our units. Other units may have such names, such as those of a bundle NAME-exec.
end_commands() {
    for end_unit in $(control list-units --all --plain --no-legend "$NAME-exec-*.service" 2>/dev/null | sed 's/ .*//'); do
        end_number=${end_unit#"$NAME-exec-"}
        case ${end_number%.service} in
            '' | *[!0-9]*) continue ;;
        esac
        [ "$(property "$end_unit" Transient)" = yes ] || continue
        control stop "$end_unit" >/dev/null 2>&1 || :
    done
}

# What was started outside of our units by a user who goes: it would go on with a number that the next user may get, could
# lay links where we remove, and no program removes a user that has processes.
end_processes() {
    [ -z "$IS_ACCOUNT" ] && owns_user && has_entry passwd "$SERVICE_USER" || return 0
    set_leaver
    [ "$leavings_uid" != 0 ] || die 10 "the user $SERVICE_USER is root" "Correct /etc/passwd."
    end_tries=0
    while [ -n "$(find /proc/[0-9]* -prune -user "$leavings_uid" 2>/dev/null)" ]; do
        end_tries=$((end_tries + 1))
        [ "$end_tries" -le 10 ] ||
            die 12 "processes of the user $SERVICE_USER cannot be ended" "End them, then run this again."
        # shellcheck disable=SC2016 # for that shell
        (cd / && leaver /bin/sh -c '[ "$(id -u)" = "$1" ] && kill -KILL -1' sh "$leavings_uid") >/dev/null 2>&1 || :
        nap
    done
}

# A user that existed before is not recorded as ours.
remove_own_user() {
    [ -z "$IS_ACCOUNT" ] && owns_user || return 0
    remove_leavings
    remove_user
    ! grep -qs "^$(pattern "$SERVICE_USER"):" /etc/passwd ||
        die 12 "the user $SERVICE_USER cannot be removed" "See: userdel $SERVICE_USER; then run this again."
}

# Where an uninstall that was cut off at its very end has left this script; empty if that is its bundle.
left_root() {
    case $0 in
        */manage) [ -e "${0%/manage}/install.sh" ] || (cd "${0%/manage}" && pwd) ;;
    esac
}

# rm -r is used only for the few directories that are recorded as ours and have our name.
remove_tree() { # DIR
    case " $DIRECTORIES " in
        *" $1 "*) ;;
        *) die 12 "$1 is not ours; it is left alone" ;;
    esac
    [ -e "$1" ] || [ -L "$1" ] || return 0
    [ ! -L "$1" ] || die 12 "$1 is a symbolic link; it is left alone" "Check where it leads and remove it."
    ! has_mount "$1" || die 12 "something is mounted at or below $1; it is left alone" "Unmount it first."
    if [ -n "$IS_ACCOUNT" ]; then # whose other processes go on
        remove_as_owner "$1" || die 12 "cannot remove all of $1: it contains files of other owners" "Look at it and remove it."
    else
        rm -rf "$1" || die 12 "cannot remove $1"
    fi
}

# The deepest first; one that is not empty is somebody else's by now.
remove_made_dirs() {
    for made_dir in $(owned_paths made | sort -r); do
        [ -L "$made_dir" ] || rmdir "$made_dir" 2>/dev/null || :
    done
}

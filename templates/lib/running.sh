
# --- is an install running? -------------------------------------------------------------------------------

RUN_DIR=/run/conda-bundler

# Whether install.sh or manage, of any bundle, is changing this machine. Their temporary directory exists as long as they
# run; a killed one leaves it behind, but not the lock.
install_is_running() {
    [ -d "$RUN_DIR/work" ] || return 1
    if ! have flock; then
        lock_owner_lives
        return
    fi
    if flock -n "$RUN_DIR/lock" true; then
        return 1
    fi
}

lock_owner_lives() {
    lock_pid=
    read -r lock_pid lock_since 2>/dev/null <"$RUN_DIR/lock.d/owner" || return 1
    [ -n "$lock_pid" ] && [ "$(started_at "$lock_pid")" = "$lock_since" ]
}

started_at() { # PID: its start in clock ticks since boot; a process id alone may have been given anew
    read -r process_stat 2>/dev/null <"/proc/$1/stat" || return 0
    # shellcheck disable=SC2086 # to be split: fields 3 and on of proc(5), after the name in parentheses
    set -- ${process_stat##*) }
    shift 19
    printf '%s\n' "$1"
}

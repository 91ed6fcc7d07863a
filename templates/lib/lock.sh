
# --- lock ------------------------------------------------------------------------------------------------
# Only one install at a time on a machine, of any bundle: they share systemd and /usr/local. How others detect it:
# running.sh.

WORK=$RUN_DIR/work # scratch of whoever holds the lock: 0700, in memory
LOCKED=

make_run_dir() {
    [ -d "$RUN_DIR" ] || mkdir -m 0700 "$RUN_DIR" 2>/dev/null || :
    if [ -L "$RUN_DIR" ] || [ ! -d "$RUN_DIR" ]; then
        die 12 "cannot create $RUN_DIR" "Check that /run exists and is writable, and that nothing else has this name."
    fi
    chmod 0700 "$RUN_DIR" || die 12 "cannot change the mode of $RUN_DIR"
}

take_lock() {
    make_run_dir
    if have flock; then
        [ ! -d "$RUN_DIR/lock" ] || die 12 "$RUN_DIR/lock is a directory" "Remove it."
        exec 9>"$RUN_DIR/lock"
        flock -n 9 || lock_is_taken ""
    else
        take_lock_directory
    fi
    LOCKED=yes
    rm -rf /run/conda-bundler/work
    mkdir -m 0700 "$WORK" || die 12 "cannot create $WORK"
}

lock_is_taken() { # WHO
    die 13 "another install is running$1" \
        "Wait until it has ended, then run this again. (If there is none: rm -r $RUN_DIR/lock.d)"
}

take_lock_directory() {
    if ! mkdir "$RUN_DIR/lock.d" 2>/dev/null; then
        [ -f "$RUN_DIR/lock.d/owner" ] || sleep 1 # its owner may be about to write its name
        # Only one of those that find a dead owner may take over, and checks again, since another may just have done so.
        mkdir "$RUN_DIR/lock.d/taking" 2>/dev/null || lock_is_taken ""
        if lock_owner_lives; then
            rmdir "$RUN_DIR/lock.d/taking"
            lock_is_taken " (process $lock_pid)"
        fi
    fi
    printf '%s %s\n' "$$" "$(started_at "$$")" >"$RUN_DIR/lock.d/owner"
    [ ! -d "$RUN_DIR/lock.d/taking" ] || rmdir "$RUN_DIR/lock.d/taking"
}

drop_lock() {
    [ -n "$LOCKED" ] || return 0
    rm -rf /run/conda-bundler/work
    if [ -d "$RUN_DIR/lock.d" ]; then
        rm -f "$RUN_DIR/lock.d/owner"
        rmdir "$RUN_DIR/lock.d"
    fi
    LOCKED=
}

# Closes the lock's descriptor for commands that may leave a process behind, which would keep the lock.
# Unpacking keeps it on purpose: if this script is killed, nobody may touch the stage while tar is still writing.
unlocked() { # COMMAND...
    "$@" 9>&-
}

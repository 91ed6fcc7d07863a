
# --- the way back ----------------------------------------------------------------------------------------

# none -> staging (can be undone) -> switching (rolled back to the previous release), or
# rotating (the old secret is restored) -> done
PHASE=none
UNHEALTHY=

on_signal() { # STATUS
    trap '' HUP INT TERM
    complain error "interrupted"
    exit "$1"
}

CAUGHT=
UNDO_STAGING=
LEAVE=

catch_signals() { # UNDO LEAVE: commands: what takes back what was staged, what comes last of all
    CAUGHT=yes
    UNDO_STAGING=$1
    LEAVE=$2
    trap 'on_exit $?' EXIT
    trap 'on_signal 129' HUP
    trap 'on_signal 130' INT
    trap 'on_signal 143' TERM
    trap : PIPE # the children get the default again
}

# The only way to exit with 0: without it, the status is never 0, even if the script is damaged.
end_well() {
    [ -n "$CAUGHT" ] || trap - EXIT
    exit 0
}

on_exit() { # STATUS
    trap '' HUP INT TERM
    trap - EXIT
    set +e
    case $PHASE in
        staging) "$UNDO_STAGING" ;;
        hooking) stay ;;
        switching) go_back ;;
        rotating) go_back_to_secret ;;
    esac
    drop_lock
    "$LEAVE"
    case $1 in
        0 | 2 | 3 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 17 | 129 | 130 | 143) exit "$1" ;;
    esac
    complain error "a command failed unexpectedly (status $1)" "See its output above."
    exit 12
}

can_go_back() {
    [ "$PHASE" = rotating ] || { [ -n "$FROM" ] && [ "$FROM" != "$RELEASE" ]; }
}

# Restores the previous release with its units and their states; if there was none, stops and disables the services.
go_back() {
    [ -z "$UNHEALTHY" ] || [ "$FROM" = "$RELEASE" ] || (add_history failed "$RELEASE")
    if can_go_back; then
        say "rolling back to $FROM"
        if (bring_back "$FROM"); then
            say "$FROM is restored"
        else
            complain error "rollback to $FROM failed" "See: systemctl status; then run this again."
        fi
        return 0
    fi
    (write_transaction unhealthy)
    if [ -n "$FROM" ]; then
        complain error "${UNHEALTHY:-the service} is left as it is: there is no other release to roll back to" \
            "Correct the cause, then run the same command again."
        return 0
    fi
    each_socket_of "$RELEASE" stop_and_disable
    each_unit_of "$RELEASE" stop_and_disable
    complain error "${UNHEALTHY:-the service} is stopped and disabled; its files, settings and secrets are kept" \
        "Correct the cause, then run the same command again."
}

bring_back() { # RELEASE
    RELEASE=$1
    hooks_back "$RELEASE"
    install_units "$RELEASE"
    install_launchers
    switch_to "$RELEASE"
    restore_enablement
    load_units
    close_sockets
    restore_states
    hooks_after "$RELEASE" || complain error "$HOOK_UNIT failed" "See: journalctl -u $HOOK_UNIT"
    end_transaction back "$RELEASE"
    watch_gone_back
}

NOT_RESTORED=

# "unit NAME ENABLED ACTIVE" a line, as it was before the transaction.
restore_enablement() {
    while read -r _ back_unit back_enabled _ <&7; do
        case $back_enabled in
            enabled) control --no-reload enable "$back_unit" >/dev/null 2>&1 || not_restored ;;
            disabled) control --no-reload disable "$back_unit" >/dev/null 2>&1 || not_restored ;;
        esac
    done 7<"$WORK/states"
}

restore_states() {
    WATCHED=
    while read -r _ back_unit back_enabled back_active <&7; do
        control reset-failed "$back_unit" >/dev/null 2>&1 || :
        case $back_enabled in
            masked* | static) continue ;; # a health check or a job: another unit starts it, again
        esac
        if is_socket "$back_unit"; then
            restore_socket "$back_unit" "$back_active"
            continue
        fi
        case $back_active in
            active | activating | reloading) restart_unit_again "$back_unit" || not_restored ;;
            *) stop_again "$back_unit" || not_restored ;;
        esac
    done 7<"$WORK/states"
    [ -z "$NOT_RESTORED" ] || die 12 "not every unit could be restored" "See: systemctl status"
}

stop_again() { # UNIT
    if is_target "$1"; then
        control --job-mode=ignore-dependencies stop "$1"
    else
        control stop "$1"
    fi
}

not_restored() {
    NOT_RESTORED=yes
}

# There is no further fallback: if this release is unhealthy, too, that is reported, and it stays.
watch_gone_back() {
    [ -z "$AT_BOOT" ] || return 0
    PHASE=back
    each_service_of "$RELEASE" watch_service
}

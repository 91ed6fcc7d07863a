
# --- the way back ----------------------------------------------------------------------------------------

PHASE=none # none -> staging (can be undone) -> switching (goes back to the release before) -> done
UNHEALTHY=

on_signal() { # STATUS
    trap '' HUP INT TERM
    complain error "interrupted"
    exit "$1"
}

on_exit() { # STATUS
    trap '' HUP INT TERM
    trap - EXIT
    set +e
    case $PHASE in
        staging) undo ;;
        switching) go_back ;;
    esac
    drop_lock
    case $1 in
        0 | 2 | 10 | 11 | 12 | 13 | 14 | 15 | 129 | 130 | 143) exit "$1" ;;
    esac
    complain error "a command failed unexpectedly (status $1)" "What it said stands above."
    exit 12
}

# Before the transaction nothing outside has changed but what is undone here: the machine is as it was.
undo() {
    say "cleaning up; nothing of this run stays"
    undo_user
    undo_config
    undo_secrets
    (remove_leftovers)
    [ -z "$RELEASE_MADE" ] || (remove_release "$RELEASE")
    printf '%s' "$MADE_DIRS" | while read -r made_dir; do
        rmdir "$made_dir" 2>/dev/null
    done
    if [ -n "$MADE_RECORD" ]; then
        rm -f "$RECORD/owned" "$RECORD/.owned.new"
        rmdir "$RECORD" 2>/dev/null
        rmdir /var/lib/conda-bundler 2>/dev/null
    else
        (put "$RECORD/owned" 0600 <"$WORK/owned")
    fi
}

# After it: back to the release before, its units and their states; or, if there was none, stopped and disabled.
go_back() {
    if [ -n "$FROM" ]; then
        say "going back to $FROM"
        if (bring_back); then
            say "$FROM is back as it was"
        else
            complain error "going back to $FROM did not work" "See: systemctl status; then run this again."
        fi
        return 0
    fi
    each_service stop_and_disable
    (write_transaction unhealthy)
    complain error "${UNHEALTHY:-the service} is stopped and disabled; its files, settings and secrets are kept" \
        "Correct the cause, then run the same command again."
}

bring_back() {
    back_status=0
    install_units "$FROM"
    switch_to "$FROM"
    load_units
    while read -r _ back_unit back_enabled back_active; do
        control reset-failed "$back_unit" >/dev/null 2>&1 || :
        case $back_enabled in
            enabled) control enable "$back_unit" >/dev/null 2>&1 || back_status=1 ;;
        esac
        # A health check's own unit is idle, and stays so.
        case $back_active in
            active | activating | reloading) control restart "$back_unit" || back_status=1 ;;
            *) control stop "$back_unit" || back_status=1 ;;
        esac
    done <"$WORK/states"
    [ "$back_status" -eq 0 ] || return 1
    end_transaction rolled-back "$FROM"
}

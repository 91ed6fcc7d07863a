
# --- hooks -----------------------------------------------------------------------------------------------
# Programs that a release runs when it is activated or left, such as database migrations: its units
# NAME-hook-before-switch, -after-switch and -back, which run as the service. Once a release has a hook, the record has
# "hooked RELEASE STATE" for every release that the data was migrated to, in order:
#     begun      before_switch, or back, may have run partially
#     switched   before_switch has run
#     done       after_switch has run, too
# After a kill at any step, hooks that are not recorded as done run again: each hook runs at least once.

HOOKS="before-switch after-switch back"
HOOK_UNIT= # the last one that was run

hook_unit() { # HOOK
    printf '%s-hook-%s.service\n' "$NAME" "$1"
}

is_hook() { # UNIT
    case $1 in
        "$NAME"-hook-before-switch.service | "$NAME"-hook-after-switch.service | "$NAME"-hook-back.service) ;;
        *) return 1 ;;
    esac
}

has_hook() { # RELEASE HOOK
    [ -f "$ROOT/releases/$1/units/$(hook_unit "$2")" ]
}

has_hooks() { # RELEASE
    for any_hook in $HOOKS; do
        ! has_hook "$1" "$any_hook" || return 0
    done
    return 1
}

hooked() { # the releases, in order
    owned hooked | sed 's/ .*//'
}

hooked_state() { # RELEASE: empty if the data has not gone through it
    owned hooked | while read -r hooked_release hooked_is; do
        [ "$hooked_release" != "$1" ] || printf '%s\n' "$hooked_is"
    done
}

# In a single write, so that a kill cannot lose it.
set_hooked() { # RELEASE STATE: none if it is empty
    set_now=$(hooked_state "$1")
    [ "$set_now" != "$2" ] || return 0
    put "$RECORD/owned" 0600 hooked_text "$1" "$2"
}

hooked_text() { # RELEASE STATE
    while IFS= read -r hooked_line; do
        case "$hooked_line " in
            "hooked $1 "*) [ -z "$2" ] || printf 'hooked %s %s\n' "$1" "$2" ;;
            *) printf '%s\n' "$hooked_line" ;;
        esac
    done <"$RECORD/owned" || return 1
    [ -n "$set_now" ] || [ -z "$2" ] || printf 'hooked %s %s\n' "$1" "$2"
}

# Migrates the data to a release: backwards through the later ones, the last one first; or forwards, if the data was never
# there. The services are not touched. Status 1: a hook has failed.
hooks_to() { # RELEASE
    [ "$SYSTEMD" = yes ] || return 0
    if [ -z "$(hooked)" ]; then
        [ "$FROM" != "$1" ] || return 0
        has_hooks "$1" || { [ -n "$FROM" ] && has_hooks "$FROM"; } || return 0
        [ -z "$FROM" ] || set_hooked "$FROM" "done" # what came before there were hooks
    fi
    if [ -n "$(hooked_state "$1")" ]; then
        for hooks_left in $(hooked | last_first); do
            [ "$hooks_left" != "$1" ] || break
            leave_hooked "$hooks_left" "$1" || return 1
        done
    fi
    case $(hooked_state "$1") in
        switched | "done") return 0 ;;
    esac
    set_hooked "$1" begun
    run_hook before-switch "$1" "$(hooked_before "$1")" "$1" || return 1
    if has_hook "$1" after-switch; then
        set_hooked "$1" switched
    else
        set_hooked "$1" "done"
    fi
}

leave_hooked() { # RELEASE GOAL
    is_complete "$1" || warn "$1 is no longer on this machine; its back hook, if it had one, cannot be run"
    set_hooked "$1" begun
    run_hook back "$1" "$1" "$2" || return 1
    set_hooked "$1" ""
}

hooked_before() { # RELEASE: the one that the data comes from
    hooked_found=
    for hooked_one in $(hooked); do
        [ "$hooked_one" != "$1" ] || break
        hooked_found=$hooked_one
    done
    printf '%s\n' "$hooked_found"
}

# When its services are healthy.
hooks_after() { # RELEASE
    [ "$SYSTEMD" = yes ] && [ "$(hooked_state "$1")" = switched ] || return 0
    run_hook after-switch "$1" "$(hooked_before "$1")" "$1" || return 1
    set_hooked "$1" "done"
}

run_hook() { # HOOK RELEASE FROM TO: those of HOOK's variables
    has_hook "$2" "$1" || return 0
    HOOK_UNIT=$(hook_unit "$1")
    if [ "$START" = no ]; then
        warn "$HOOK_UNIT is not run, since nothing is started" "Run it: systemctl start $HOOK_UNIT"
        return 0
    fi
    say "running ${HOOK_UNIT%.service} of $2"
    # A hook that a killed run has started must not continue at the same time.
    for hook_other in $HOOKS; do
        control stop "$(hook_unit "$hook_other")" >/dev/null 2>&1 || :
    done
    claim "unit $UNIT_DIR/$HOOK_UNIT"
    make_dir "$UNIT_DIR"
    cmp -s "$ROOT/releases/$2/units/$HOOK_UNIT" "$UNIT_DIR/$HOOK_UNIT" ||
        put "$UNIT_DIR/$HOOK_UNIT" 0644 <"$ROOT/releases/$2/units/$HOOK_UNIT"
    printf 'HOOK_FROM_VERSION=%s\nHOOK_TO_VERSION=%s\n' "${3%-*}" "${4%-*}" >"$RUN_DIR/$NAME.hook" ||
        die 12 "cannot write $RUN_DIR/$NAME.hook"
    load_units
    hook_status=0
    # This waits at boot, too: the services start afterwards.
    unlocked systemctl --no-pager --no-ask-password start "$HOOK_UNIT" 2>"$WORK/hook" || hook_status=1
    rm -f "$RUN_DIR/$NAME.hook"
    [ "$hook_status" != 0 ] || return 0
    complain error "$HOOK_UNIT of $2 failed: $(head_of "$WORK/hook")"
    journal_tail "$HOOK_UNIT"
    control reset-failed "$HOOK_UNIT" >/dev/null 2>&1 || :
    return 1
}

# Before the switch: the previous release keeps serving, also if this fails.
hooks_before_switch() {
    [ "$PHASE_BEFORE" = switching ] || PHASE=hooking # a run that was cut off may have touched the services
    hooks_to "$RELEASE" || hook_failed
    PHASE=switching
    write_transaction switching
}

hook_failed() {
    UNHEALTHY=$HOOK_UNIT
    exit 16
}

# On exit, when only hooks have run.
stay() {
    if ! can_go_back; then
        (write_transaction unhealthy)
        [ -n "$FROM" ] || complain error "nothing is started; files, settings and secrets are kept" \
            "Correct the cause, then run the same command again."
        return 0
    fi
    [ -z "$UNHEALTHY" ] || (add_history failed "$RELEASE")
    if (stay_with "$FROM"); then
        say "$FROM runs as before"
    else
        complain error "$FROM runs, but this change could not be undone" "Run the same command again."
    fi
}

stay_with() { # RELEASE
    RELEASE=$1
    hooks_back "$1"
    install_units "$1"
    load_units
    end_transaction back "$1"
}

# The rollback is completed even if a hook fails.
hooks_back() { # RELEASE
    hooks_to "$1" || complain error "the data may not be what $1 needs: $HOOK_UNIT failed" "See: journalctl -u $HOOK_UNIT"
}

# --- an image's first boot

# Whether a hook has failed there, so that nothing was started (manage first-boot).
are_held() {
    [ -z "$IMAGE" ] && [ -s "$RECORD/first-boot" ]
}

is_held() { # UNIT: and not stopped by the admin, who would have disabled it
    are_held && [ "$(state_before enabled "$1")" = enabled ]
}

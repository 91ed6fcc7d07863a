
# --- transaction ------------------------------------------------------------------------------------------
# action=install | rollback | rotate | uninstall | purge
# from=, to=   the releases; phase=   its progress, for people
# unit NAME ENABLED ACTIVE   for each existing unit: the administrator's state

FROM=         # the release that ran before, if any
PHASE_BEFORE= # of the record that a run which was cut off has left

is_pending() {
    [ -f "$RECORD/transaction" ]
}

transaction_value() { # KEY
    [ ! -f "$RECORD/transaction" ] || sed -n "s/^$1=//p" "$RECORD/transaction"
}

# The record of a run that was interrupted between "from" and "to" has the state before it.
begin_transaction() { # ACTION
    ACTION_BEGUN=$1
    ! is_pending || RESUMED=yes
    PHASE_BEFORE=$(transaction_value phase)
    [ "$PHASE_BEFORE" = switching ] || PHASE_BEFORE=begun
    case $(transaction_value action) in
        install | rollback)
            FROM=$(transaction_value from)
            sed -n '/^unit /p' "$RECORD/transaction" >"$WORK/states"
            ;;
        uninstall | purge)
            FROM= # it may have removed anything by now
            : >"$WORK/states"
            ;;
        *)
            FROM=$(current_release)
            remember_states >"$WORK/states"
            ;;
    esac
    [ -z "$FROM" ] || is_complete "$FROM" || FROM=
    write_transaction "$PHASE_BEFORE"
}

write_transaction() { # PHASE
    put "$RECORD/transaction" 0600 transaction_text "$1"
}

transaction_text() { # PHASE
    printf 'action=%s\nfrom=%s\nto=%s\nphase=%s\n' "$ACTION_BEGUN" "$FROM" "$RELEASE" "$1" && cat "$WORK/states"
}

end_transaction() { # ACTION RELEASE
    case $(tail -n 1 "$ROOT/history" 2>/dev/null) in
        *" $2 $1") ;; # said by a run that was killed before its record was gone
        *) add_history "$1" "$2" ;;
    esac
    # With a later release, there is nothing left to do at an image's first boot.
    [ -n "$IMAGE" ] || [ "$1" = back ] || rm -f "$RECORD/first-boot" || die 12 "cannot remove $RECORD/first-boot"
    drop_transaction
}

drop_transaction() {
    unguard_boot
    rm -f "$RECORD/transaction" || die 12 "cannot remove $RECORD/transaction"
    flush "$RECORD"
}

# "unit NAME ENABLED ACTIVE" for each installed unit: the administrator's state.
remember_states() {
    [ -n "$(current_release)" ] || return 0
    owned_paths unit | while read -r state_path; do
        [ -f "$state_path" ] || continue
        case $state_path in
            *-recover.service | *@.*) continue ;;
        esac
        remember_state "${state_path##*/}"
    done
    for state_instance in $(owned instance); do
        ! grep -qs '^\[Install\]' "$UNIT_DIR/$(file_of "$state_instance")" || remember_state "$state_instance"
    done
}

remember_state() { # UNIT
    printf 'unit %s %s %s\n' "$1" "$(enablement "$1")" "$(property "$1" ActiveState)"
}

state_before() { # enabled|active UNIT: prints nothing if there was no such unit
    state_line=$(sed -n "s/^unit $2 //p" "$WORK/states" | tail -n 1)
    if [ -z "$state_line" ]; then
        state_line=$(owned was | sed -n "s/^$2 //p" | tail -n 1)
        [ "${state_line% }" != unknown ] || state_line= # 0.1.0 wrote it in images
        ! has_kin "$2" || state_line=$(kin_before "$2" "$state_line")
    fi
    case $1 in
        enabled) printf '%s\n' "${state_line% *}" ;;
        active) printf '%s\n' "${state_line#* }" ;;
    esac
}

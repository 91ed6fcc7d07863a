
# --- what an earlier run has left -------------------------------------------------------------------------

# Before any unit is started.
recover_at_boot() {
    AT_BOOT=yes
    recover
}

# Install and rollback resume from their record by themselves. This is for commands that must not start in the middle.
recover() {
    recover_rotation
    is_pending || return 0
    case $(transaction_value action) in
        install | rollback) recover_release ;;
        uninstall | purge)
            die 10 "an uninstall was interrupted" "Run it again: sh manage uninstall; or install the bundle again."
            ;;
    esac
}

recover_release() {
    FROM=$(transaction_value from)
    RESUMED=yes
    if [ -z "$FROM" ] || ! is_complete "$FROM"; then
        die 10 "the installation of $(transaction_value to) was interrupted" "Run its install.sh again."
    fi
    say "a previous run was interrupted; rolling back to $FROM"
    sed -n '/^unit /p' "$RECORD/transaction" >"$WORK/states"
    (bring_back "$FROM") || die 14 "rollback to $FROM failed" "See: systemctl status"
}

# Between two releases, there is no definite one for commands on services.
refuse_unfinished() {
    is_pending || return 0
    [ -n "$LOCKED" ] || ! install_is_running ||
        die 13 "another install is running" "Wait until it has ended, then run this again."
    die 10 "a previous run was interrupted ($(transaction_value action) of $(transaction_value to))" \
        "Run it again, or: $ROOT/manage rollback"
}

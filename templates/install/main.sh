
# --- main ------------------------------------------------------------------------------------------------

main() {
    parse_arguments "$@"
    self_check
    case $ACTION in
        help)
            usage
            exit 0
            ;;
        version)
            version
            exit 0
            ;;
        check) check ;;
        install) install ;;
    esac
    exit 0
}

check() {
    require_root
    choose_root
    preflight
    check_given_secrets
    verify_bundle
    verify_payload
    say "this bundle is whole and fits this machine"
}

install() {
    require_root
    trap 'on_exit $?' EXIT
    trap 'on_signal 129' HUP
    trap 'on_signal 130' INT
    trap 'on_signal 143' TERM
    trap : PIPE # the children get the default again
    take_lock
    choose_root
    preflight
    check_given_secrets
    verify_bundle
    [ ! -f "$RECORD/transaction" ] || say "an earlier run did not come to its end; going on from there"
    if is_installed; then
        verify_payload
        add_missing_secrets
        say "is installed already; nothing is changed"
        return 0
    fi
    put_release
    change_over
    tell
}

# An upgrade goes where the bundle is; moving it is installing it again somewhere else.
choose_root() {
    chosen_now=$(owned root)
    if [ -n "$PREFIX" ] && [ -n "$chosen_now" ] && [ "$PREFIX" != "$chosen_now" ]; then
        die 10 "$NAME is installed in $chosen_now, not in $PREFIX" "Leave --prefix out, or uninstall it there first."
    fi
    ROOT=${PREFIX:-${chosen_now:-$BAKED_ROOT}}
    STAGE=$ROOT/releases/$STAGE_NAME
}

is_installed() {
    [ ! -f "$RECORD/transaction" ] && [ "$(current_release)" = "$RELEASE" ] && is_complete "$RELEASE" &&
        units_are_installed
}

add_missing_secrets() {
    install_secrets
    [ -z "$SECRETS_ADDED" ] || warn "running services do not have the new secrets yet" "Restart them."
}

# Everything that can be undone.
put_release() {
    PHASE=staging
    open_record
    if is_complete "$RELEASE"; then
        verify_payload
    else
        stage_release
    fi
    install_secrets
    install_config
    install_user
}

# Everything that others can see.
change_over() {
    begin_transaction
    PHASE=switching
    install_units "$RELEASE"
    switch_to "$RELEASE"
    load_units
    enable_services
    start_services
    each_service watch_service
    if [ -n "$FROM" ]; then
        end_transaction upgraded "$RELEASE"
    else
        end_transaction installed "$RELEASE"
    fi
    PHASE="done"
}

tell() {
    say "installed in $ROOT/releases/$RELEASE"
    say "settings: $ETC/$NAME.env; logs: journalctl$(each_service list_option)"
}

list_option() { # UNIT
    printf ' -u %s' "$1"
}

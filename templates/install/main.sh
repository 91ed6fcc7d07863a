
# --- main ------------------------------------------------------------------------------------------------

main() {
    parse_arguments "$@"
    self_check
    case $ACTION in
        help)
            ROOT=$BAKED_ROOT
            usage
            end_well
            ;;
        version)
            version
            end_well
            ;;
        check) check ;;
        plan) plan ;;
        install) install ;;
    esac
    end_well
}

# All that can be known without changing anything.
look() {
    require_root
    choose_root
    preflight
    check_given_secrets
    verify_bundle
    if ! is_complete "$RELEASE"; then
        find_reusable
        fit_segments
    fi
    verify_payload
}

check() {
    look
    say "this bundle is intact and fits this machine"
}

install() {
    require_root
    catch_signals undo drop_run
    take_lock
    choose_root
    preflight
    check_given_secrets
    verify_bundle
    recover_rotation
    ! is_pending || say "a previous run was interrupted; resuming"
    if is_installed; then
        verify_payload
        add_missing_secrets
        say "is already installed; nothing changed"
        return 0
    fi
    put_release
    install_from=$(current_release)
    case $(transaction_value action) in
        install | rollback) install_from=$(transaction_value from) ;; # "current" may be ahead of what was finished
    esac
    if [ -n "$install_from" ]; then
        change_over install upgraded finish_image
    else
        change_over install installed finish_image
    fi
    prune
    [ -z "$BARE" ] || [ -z "$FROM" ] || warn "running services still use $FROM" "Restart the services."
    [ -z "$BARE" ] || ! has_hooks "$RELEASE" ||
        warn "without systemd the bundle's hooks are not run" "Run them: $PLACE/bin/run-$NAME-hook-*"
    tell
}

# An upgrade goes where the bundle is; moving it is installing it again somewhere else.
choose_root() {
    set_places
    check_image
    choose_account "$ACCOUNT"
    chosen_now=$(owned root | tail -n 1)
    [ -d "$IMAGE$chosen_now" ] || chosen_now= # uninstalled
    if [ -n "$PREFIX" ] && [ -n "$chosen_now" ] && [ "$PREFIX" != "$chosen_now" ]; then
        die 10 "$NAME is installed in $chosen_now, not in $PREFIX" "Omit --prefix, or uninstall it there first."
    fi
    [ -z "$BARE" ] || [ -z "$chosen_now" ] || owns "bare $NAME" ||
        die 10 "$NAME is already installed with systemd units" "Uninstall it first, or omit --no-systemd."
    set_bare
    PLACE=${PREFIX:-${chosen_now:-$BAKED_ROOT}}
    ROOT=$IMAGE$PLACE
    STAGE=$ROOT/releases/$STAGE_NAME
}

is_installed() {
    ! is_pending && [ "$(current_release)" = "$RELEASE" ] && is_complete "$RELEASE" || return 1
    check_same_release
    units_are_installed && manage_is_installed && is_intact "$RELEASE"
}

units_are_installed() {
    units_differ=
    each_unit_of "$RELEASE" compare_unit
    [ -z "$units_differ" ]
}

compare_unit() { # UNIT
    [ -n "$UNIT_DIR" ] || return 0
    compare_file=$(file_of "$1")
    cmp -s "$ROOT/releases/$RELEASE/units/$compare_file" "$UNIT_DIR/$compare_file" || units_differ=yes
}

# The build id is over all inputs: two trees with one id are a mistake, or somebody's trick.
check_same_release() {
    same_record=$(release_record "$RELEASE")
    [ -z "$same_record" ] || [ "${same_record% *}" = "$TREE_DIGEST" ] ||
        die 11 "$RELEASE is already installed with different content" \
            "One of the two was modified. Compare the bundles; to use this one, uninstall the other first."
}

add_missing_secrets() {
    install_secrets
    [ -z "$SECRETS_ADDED" ] || warn "running services do not have the new secrets yet" "Restart them."
}

# Everything that can be undone.
put_release() {
    PHASE=staging
    open_record
    if ! is_complete "$RELEASE"; then
        stage_release
    else
        check_same_release
        if is_intact "$RELEASE"; then
            verify_payload
        else
            say "the installed release is corrupted; reinstalling"
            TRUST_DISK= # what is wrong with it may be wrong with the releases that share its files
            stage_release
        fi
    fi
    install_secrets
    install_config
    [ -n "$IMAGE" ] || for_users install_user
    each_own_user tell_own_state
}

tell() {
    say "installed in $PLACE/releases/$RELEASE"
    if [ -n "$BARE" ]; then
        say "settings: $ETC/$NAME.env; start it with:$(each_service list_launcher)"
    else
        say "settings: $ETC/$NAME.env; logs: journalctl$(each_service list_option)"
    fi
    say "for more commands: $PLACE/manage --help"
}

list_launcher() { # UNIT
    printf ' %s/bin/run-%s' "$PLACE" "${1%.service}"
}

list_option() { # UNIT
    case $1 in
        *@1.service) printf " -u '%s@*'" "${1%%@*}" ;;
        *@*) ;;
        *) printf ' -u %s' "$1" ;;
    esac
}

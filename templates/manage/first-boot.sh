
# --- an image's first boot --------------------------------------------------------------------------------

first_boot() {
    need_release
    PHASE=none
    SERVICE_UID=$(each_entry "$ROOT/releases/$RELEASE" uid as_number printf_name)
    install_user
    each_entry "$ROOT/releases/$RELEASE" user as_user_entry install_own_user
    activate_at_first_boot
    if [ -n "$(each_secret_of "$RELEASE" printf_name)" ]; then
        [ -f "$SECRETS" ] || printf '# Made at the first boot of this machine; only root and systemd read it.\n' |
            put "$SECRETS" 0600
        each_secret_of "$RELEASE" add_secret
    fi
    say "user and secrets are ready"
    hooks_to "$RELEASE" || hold_services
    held_before=
    ! are_held || held_before=yes
    rm -f "$RECORD/first-boot" || die 12 "cannot remove $RECORD/first-boot"
    [ -z "$held_before" ] || each_unit_of "$RELEASE" start_held
}

activate_at_first_boot() {
    activation_release=$ROOT/releases/$RELEASE
    [ -s "$activation_release/config/activation.list" ] || return 0
    activation_record=$(release_record "$RELEASE")
    activate "$activation_release"
    list_tree "$activation_release" tree_lines
    put_tree_list "$activation_release" "$RELEASE" "${activation_record% *}"
}

# As after a first install with a failed hook: nothing is started. All of it is repeated at the next boot.
hold_services() {
    put "$RECORD/first-boot" 0600 printf 'held\n'
    for held_kind in '*.socket' '*.timer' '*.target' '*.service'; do
        each_unit_of "$RELEASE" hold_unit
    done
    die 16 "$HOOK_UNIT failed: nothing of $RELEASE is started" \
        "See: journalctl -u $HOOK_UNIT; it runs again at the next boot, or: systemctl start $NAME-first-boot"
}

hold_unit() { # UNIT
    # shellcheck disable=SC2254 # a pattern
    case $1 in
        $held_kind) ;;
        *) return 0 ;;
    esac
    ! has_install "$1" || unlocked systemctl --no-block stop "$1" >/dev/null 2>&1 || :
}

start_held() { # UNIT
    has_install "$1" && [ "$(enablement "$1")" = enabled ] || return 0
    unlocked systemctl --no-block start "$1" || warn "systemctl start $1 failed" "Try it by hand to see why."
}

install_own_user() { # USER UID
    as_user "$1" "$2" install_user
}

printf_name() { # NAME
    printf '%s\n' "$1"
}

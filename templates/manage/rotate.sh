
# --- rotate-secret ---------------------------------------------------------------------------------------

rotate_secret() {
    recover
    need_release
    rotate_bytes=
    each_secret_of "$RELEASE" match_secret
    [ -n "$rotate_bytes" ] || die 2 "$NAME has no secret '$OPERAND'" "See: $SECRETS"
    if [ -n "$FROM_FILE" ]; then
        read_token "$OPERAND" "$FROM_FILE"
    else
        make_secret "$rotate_bytes"
    fi
    if [ ! -f "$SECRETS" ] || [ -L "$SECRETS" ]; then
        die 10 "$SECRETS is not a plain file" "Look at it, and install the bundle again."
    fi
    if [ "$(secret_value "$OPERAND")" = "$TOKEN" ]; then
        say "$OPERAND has this value already; nothing is changed"
        return 0
    fi
    replace_secret
    if [ -n "$BARE" ]; then
        warn "what runs has the old value still" "Restart the services."
    else
        say "$OPERAND is new; every service that ran has it"
    fi
}

match_secret() { # NAME BYTES
    [ "$1" != "$OPERAND" ] || rotate_bytes=$2
}

replace_secret() {
    begin_transaction rotate
    PHASE=rotating
    guard_boot
    put "$RECORD/secrets.before" 0600 <"$SECRETS"
    [ -z "$FROM_FILE" ] || claim "given $OPERAND"
    write_secret "$OPERAND"
    restart_before
    each_service_of "$RELEASE" watch_service
    write_transaction rotated
    PHASE="done"
    drop_old_secrets
    add_history rotated "$RELEASE"
    drop_transaction
}


# --- rotate-secret ---------------------------------------------------------------------------------------

rotate_secret() {
    recover
    need_release
    rotate_bytes=
    each_secret_of "$RELEASE" match_secret
    [ -n "$rotate_bytes" ] || die 2 "$NAME has no secret '$OPERAND'" "See: $ETC"
    if [ -n "$FROM_FILE" ]; then
        read_token "$OPERAND" "$FROM_FILE"
    else
        make_secret "$rotate_bytes" "$rotate_format" "$rotate_length"
    fi
    check_place
    if [ "$(secret_value "$OPERAND" "$rotate_delivery")" = "$TOKEN" ]; then
        say "$OPERAND already has this value; nothing changed"
        return 0
    fi
    replace_secret
    if [ -n "$BARE" ]; then
        warn "running services still use the old value" "Restart the services."
    else
        say "$OPERAND is replaced; every running service uses it"
    fi
}

match_secret() { # NAME
    [ "$1" = "$OPERAND" ] || return 0
    rotate_bytes=$secret_bytes
    rotate_format=$secret_format
    rotate_length=$secret_length
    rotate_delivery=$secret_delivery
}

check_place() {
    rotate_file=$SECRETS
    [ "$rotate_delivery" != credential ] || rotate_file=$ETC/credentials/$OPERAND
    if [ ! -f "$rotate_file" ] || [ -L "$rotate_file" ]; then
        die 10 "$rotate_file is not a regular file" "Inspect it, and install the bundle again."
    fi
}

replace_secret() {
    rotate_new=${#TOKEN}
    rotate_old=$(secret_value "$OPERAND" "$rotate_delivery") || exit 12
    rotate_least=$rotate_new
    [ "${#rotate_old}" -ge "$rotate_new" ] || rotate_least=${#rotate_old}
    begin_transaction rotate
    PHASE=rotating
    guard_boot
    keep_old_secret "$OPERAND"
    [ -z "$FROM_FILE" ] || claim "given $OPERAND"
    record_secret "$OPERAND" "$rotate_format" "$rotate_least" # either of them is whole with it
    write_secret "$OPERAND" "$rotate_delivery"
    restart_before restart_unit
    each_service_of "$RELEASE" watch_service
    write_transaction rotated
    PHASE="done"
    record_secret "$OPERAND" "$rotate_format" "$rotate_new"
    drop_old_secret
    add_history rotated "$RELEASE"
    drop_transaction
}

keep_old_secret() { # NAME
    [ ! -f "$SECRETS" ] || put "$RECORD/secrets.before" 0600 <"$SECRETS"
    [ ! -f "$ETC/credentials/$1" ] || put "$RECORD/credential.before" 0600 credential_text "$1"
}

credential_text() { # NAME
    printf '%s\n' "$1" && cat "$ETC/credentials/$1"
}


# --- new secrets -----------------------------------------------------------------------------------------
# Those that this release needs and that are not there yet are made, or taken from what the operator gives.

SECRETS_BEFORE= # none | kept: what undoing has to do

# Before anything is changed: what the operator gave must be usable and must not replace what is in use.
check_given_secrets() {
    while IFS='=' read -r given_name given_path; do
        [ -n "$given_name" ] || continue
        known_secrets=
        each_secret list_secret
        case " $known_secrets " in
            *" $given_name "*) ;;
            *) die 2 "this bundle has no secret '$given_name'" "It has: ${known_secrets:-none}." ;;
        esac
        read_token "$given_name" "$given_path"
        given_now=$(secret_value "$given_name")
        if [ -n "$given_now" ] && [ "$given_now" != "$TOKEN" ] &&
            ! secret_is_torn "$given_name" "$given_now" "$(secret_bytes "$given_name")"; then
            die 2 "secret $given_name is set already and differs from $given_path; it is kept" \
                "To replace it: $ROOT/manage rotate-secret $given_name --from FILE"
        fi
    done <<LINES
$GIVEN
LINES
    TOKEN=
}

list_secret() { # NAME BYTES
    known_secrets="$known_secrets${known_secrets:+ }$1"
}

secret_bytes() { # NAME
    wanted_secret=$1
    each_secret match_secret
}

match_secret() { # NAME BYTES
    [ "$1" != "$wanted_secret" ] || printf '%s\n' "$2"
}

install_secrets() {
    [ -z "$IMAGE" ] || return 0 # every copy of an image would have them
    known_secrets=
    each_secret list_secret
    [ -n "$known_secrets" ] || return 0
    make_dir "$ETC"
    if [ -f "$SECRETS" ] && [ ! -L "$SECRETS" ]; then
        (umask 077 && cat "$SECRETS" >"$WORK/secrets.env") || die 12 "cannot read $SECRETS"
        SECRETS_BEFORE=kept
    else
        SECRETS_BEFORE=none
        printf '# Made by install.sh on this machine; only root and systemd read it.\n' | put "$SECRETS" 0600
    fi
    each_secret add_secret
    [ -z "$SECRETS_ADDED" ] || say "secrets made:$SECRETS_ADDED ($SECRETS)"
}

undo_secrets() {
    case $SECRETS_BEFORE in
        none) rm -f "$SECRETS" ;;
        kept) [ -z "$SECRETS_ADDED" ] || put "$SECRETS" 0600 <"$WORK/secrets.env" ;;
    esac
}

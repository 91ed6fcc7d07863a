
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
        each_secret match_secret
        given_now=$(secret_value "$given_name" "$given_delivery") || exit 12
        if [ -n "$given_now" ] && [ "$given_now" != "$TOKEN" ] &&
            ! secret_is_torn "$given_name" "$given_now" "$given_format" "$given_length"; then
            die 2 "secret $given_name is already set and differs from $given_path; it was kept" \
                "To replace it: $ROOT/manage rotate-secret $given_name --from FILE"
        fi
    done <<LINES
$GIVEN
LINES
    TOKEN=
}

list_secret() { # NAME
    known_secrets="$known_secrets${known_secrets:+ }$1"
}

match_secret() { # NAME
    [ "$1" = "$given_name" ] || return 0
    given_format=$secret_format
    given_length=$secret_length
    given_delivery=$secret_delivery
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
        put "$SECRETS" 0600 printf '# Made by install.sh on this machine; only root and systemd read it.\n'
    fi
    for kept_credential in "$ETC"/credentials/*; do
        [ -f "$kept_credential" ] || continue
        (umask 077 && cat "$kept_credential" >"$WORK/credential.${kept_credential##*/}") ||
            die 12 "cannot read $kept_credential"
    done
    each_secret add_secret
    [ -z "$SECRETS_ADDED" ] || say "secrets generated:$SECRETS_ADDED ($ETC)"
}

undo_secrets() {
    case $SECRETS_BEFORE in
        none) rm -f "$SECRETS" ;;
        kept) cmp -s "$WORK/secrets.env" "$SECRETS" || put "$SECRETS" 0600 <"$WORK/secrets.env" ;;
    esac
    for made_credential in $CREDENTIALS_MADE; do
        rm -f "$ETC/credentials/$made_credential"
    done
    for kept_credential in "$WORK"/credential.*; do
        [ ! -f "$kept_credential" ] ||
            cmp -s "$kept_credential" "$ETC/credentials/${kept_credential##*/credential.}" ||
            put "$ETC/credentials/${kept_credential##*/credential.}" 0600 <"$kept_credential"
    done
}

# --- preflight

check_credentials() { # SYSTEMD-VERSION
    credentials_wanted=
    each_secret note_credential
    [ -z "$credentials_wanted" ] || [ "$1" -ge 247 ] ||
        problem "systemd $1 has no credentials, which $credentials_wanted needs" \
            "Use systemd 247 or later; or build the bundle with delivery = \"environment\" for it."
}

note_credential() { # NAME
    [ "$secret_delivery" != credential ] || credentials_wanted=$1
}

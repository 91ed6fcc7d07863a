
# --- secrets ---------------------------------------------------------------------------------------------
# Generated on this machine, never in the bundle. A value is never on a command line, where ps would show it: printf,
# read and [ are built-ins of the shell.
#
# A secret is stored for its delivery: a line in secrets.env ("environment"), or a separate file in credentials/
# ("credential"). If a release has changed the delivery, the value is in both places, so that the previous release still
# finds it.

TOKEN=
GIVEN= # one NAME=FILE a line
SECRETS_ADDED=
CREDENTIALS_MADE=

# An unreadable secret must not count as missing, since it would be regenerated. A command substitution has to end its
# caller itself, because bash does not inherit set -e there.
secret_value() { # NAME DELIVERY: where it is delivered from, else where another release had it
    value_variable=$(variable_value "$1") || exit 12
    value_credential=$(credential_value "$1") || exit 12
    case $2 in
        credential) printf '%s\n' "${value_credential:-$value_variable}" ;;
        *) printf '%s\n' "${value_variable:-$value_credential}" ;;
    esac
}

variable_value() { # NAME: the last line counts, as it does for systemd
    [ ! -f "$SECRETS" ] || sed -n "/^$1=/{s/^$1=//;h;};\${x;p;}" "$SECRETS" || die 12 "cannot read $SECRETS"
}

credential_value() { # NAME
    [ ! -f "$ETC/credentials/$1" ] || sed -n 1p "$ETC/credentials/$1" || die 12 "cannot read $ETC/credentials/$1"
}

is_in_place() { # NAME DELIVERY
    case $2 in
        credential) place_value=$(credential_value "$1") || exit 12 ;;
        *) place_value=$(variable_value "$1") || exit 12 ;;
    esac
    [ -n "$place_value" ]
}

is_token() { # VALUE
    case $1 in
        *[!A-Za-z0-9._~+/=-]*) return 1 ;;
        ????????????????*) return 0 ;;
    esac
    return 1
}

read_token() { # NAME FILE: sets TOKEN
    if [ ! -f "$2" ] || [ ! -r "$2" ]; then
        die 2 "cannot read the file for secret $1: $2" "Use a regular file that contains the value as one line."
    fi
    TOKEN=
    IFS= read -r TOKEN <"$2" || [ -n "$TOKEN" ] || die 2 "the file for secret $1 is empty: $2"
    if [ -n "$(sed 1d "$2")" ] || ! is_token "$TOKEN"; then
        die 2 "the file for secret $1 does not contain one valid line: $2" \
            "The value must be 16 or more of the characters A-Z a-z 0-9 . _ ~ + / = - and nothing else."
    fi
}

# --- making

make_secret() { # BYTES FORMAT LENGTH: sets TOKEN
    TOKEN=
    case $2 in
        hex) TOKEN=$(od -An -v "-N$1" -tx1 /dev/urandom | tr -d ' \n') ;;
        base32) encode 5 "$(random_bytes "$1")" ;;
        base64url) encode 6 "$(random_bytes "$1")" ;;
        alphanumeric) choose_characters "$1" ;;
        *) die 11 "unknown format of a secret: '$2'" "Install the bundle again." ;;
    esac
    while [ "${#TOKEN}" -gt "$3" ]; do
        TOKEN=${TOKEN%?}
    done
    [ "${#TOKEN}" -eq "$3" ] || die 12 "the kernel's random source returned too few bytes"
}

random_bytes() { # COUNT: as decimal numbers
    od -An -v "-N$1" -tu1 /dev/urandom
}

# Encodes bytes as base32 or base64url (RFC 4648), without padding.
encode() { # BITS-A-CHARACTER BYTES
    encode_bits=0
    encode_left=0
    encode_text=
    for encode_byte in $2; do
        encode_left=$((encode_left * 256 + encode_byte))
        encode_bits=$((encode_bits + 8))
        while [ "$encode_bits" -ge "$1" ]; do
            encode_bits=$((encode_bits - $1))
            add_character "$1" $((encode_left >> encode_bits))
            encode_left=$((encode_left & ((1 << encode_bits) - 1)))
        done
    done
    [ "$encode_bits" -eq 0 ] || add_character "$1" $((encode_left << ($1 - encode_bits)))
    # shellcheck disable=SC2059 # the characters' numbers are the format
    TOKEN=$(printf "$encode_text")
}

# Bytes from 248 on are skipped, since 256 is not a multiple of 62, and the distribution would be uneven.
choose_characters() { # COUNT
    encode_text=
    choose_left=$1
    choose_rounds=0
    while [ "$choose_left" -gt 0 ] && [ "$choose_rounds" -lt 100 ]; do
        choose_rounds=$((choose_rounds + 1))
        for choose_byte in $(random_bytes "$choose_left"); do
            [ "$choose_byte" -lt 248 ] || continue
            add_character 6 $((choose_byte % 62))
            choose_left=$((choose_left - 1))
        done
    done
    # shellcheck disable=SC2059
    TOKEN=$(printf "$encode_text")
}

# The character's code for printf, in octal digits, without starting a process for each.
add_character() { # BITS INDEX in A-Z 2-7 (5 bits) or in A-Z a-z 0-9 - _ (6 bits)
    if [ "$2" -lt 26 ]; then
        character=$(($2 + 65))
    elif [ "$1" -eq 5 ]; then
        character=$(($2 + 24))
    elif [ "$2" -lt 52 ]; then
        character=$(($2 + 71))
    elif [ "$2" -lt 62 ]; then
        character=$(($2 - 4))
    elif [ "$2" -eq 62 ]; then
        character=45
    else
        character=95
    fi
    encode_text=$encode_text\\$((character >> 6))$((character >> 3 & 7))$((character & 7))
}

# --- keeping

record_secret() { # NAME FORMAT LENGTH
    ! owns "secret $1 $2 $3" || return 0
    unclaim "secret $1"
    claim "secret $1 $2 $3"
}

write_secret() { # NAME DELIVERY: with the value in TOKEN, which is gone then
    if [ "$2" != credential ] || is_in_place "$1" environment; then
        write_variable "$1"
    fi
    if [ "$2" = credential ] || is_in_place "$1" credential; then
        write_credential "$1"
    fi
    TOKEN=
}

write_variable() { # NAME
    put "$SECRETS" 0600 variables_text "$1"
}

variables_text() { # NAME
    { [ ! -f "$SECRETS" ] || sed "/^$1=/d" "$SECRETS"; } && printf '%s=%s\n' "$1" "$TOKEN"
}

write_credential() { # NAME
    if [ ! -d "$ETC/credentials" ]; then
        make_dir "$ETC/credentials"
        chmod 0700 "$ETC/credentials" || die 12 "cannot change the mode of $ETC/credentials"
    fi
    [ -e "$ETC/credentials/$1" ] || CREDENTIALS_MADE="$CREDENTIALS_MADE $1"
    put "$ETC/credentials/$1" 0600 print_token
}

print_token() {
    printf '%s' "$TOKEN"
}

# Whether it is truncated: empty, or shorter than what was generated here. Values from the operator are not checked, and a
# release that declares a different format keeps the existing value.
secret_is_torn() { # NAME VALUE FORMAT LENGTH
    [ -n "$2" ] || return 0
    ! owns "given $1" || return 1
    torn_made=$(owned "secret $1") || die 12 "cannot read $RECORD/owned"
    # shellcheck disable=SC2086 # format and length
    [ -z "$torn_made" ] || set -- "$1" "$2" $torn_made
    case $3,$2 in
        hex,*[!0-9a-f]* | base32,*[!A-Z2-7]*) return 1 ;;
        base64url,*[!A-Za-z0-9_-]* | alphanumeric,*[!A-Za-z0-9]*) return 1 ;;
    esac
    [ "${#2}" -lt "$4" ]
}

given_file() { # NAME: the file that the operator gave for it
    printf '%s' "$GIVEN" | sed -n "s/^$1=//p" | tail -n 1
}

add_secret() { # NAME
    secret_now=$(secret_value "$1" "$secret_delivery") || exit 12
    if ! secret_is_torn "$1" "$secret_now" "$secret_format" "$secret_length"; then
        place_secret "$1" "$secret_delivery"
        return 0
    fi
    [ -z "$secret_now" ] || warn "$1 in $ETC is truncated; regenerating"
    secret_file=$(given_file "$1")
    if [ -n "$secret_file" ]; then
        read_token "$1" "$secret_file"
        claim "given $1"
    else
        make_secret "$secret_bytes" "$secret_format" "$secret_length"
    fi
    record_secret "$1" "$secret_format" "${#TOKEN}"
    write_secret "$1" "$secret_delivery"
    SECRETS_ADDED="$SECRETS_ADDED $1"
}

# Copies it to where this release expects it, if another release had a different delivery.
place_secret() { # NAME DELIVERY
    ! is_in_place "$1" "$2" || return 0
    TOKEN=$(secret_value "$1" "$2") || exit 12
    case $2 in
        credential) write_credential "$1" ;;
        *) write_variable "$1" ;;
    esac
    TOKEN=
}

# --- hiding

# Copies stdin to stdout with every secret's value replaced. The values reach sed in a file, not in its arguments.
masked() {
    (umask 077 && mask_script >"$WORK/mask") || return 1
    sed -f "$WORK/mask"
}

mask_script() {
    for mask_file in "$SECRETS" "$RECORD/secrets.before"; do
        [ ! -f "$mask_file" ] || sed -n '/^[A-Za-z_][A-Za-z0-9_]*=./{
            s/^[^=]*=//
            s/^"\(.*\)"$/\1/
            p
        }' "$mask_file"
    done | mask_lines
    for mask_file in "$ETC"/credentials/* "$RECORD/credential.before"; do
        [ ! -f "$mask_file" ] || sed -n '$p' "$mask_file" | mask_lines
    done
}

mask_lines() {
    sed -n 's/[][\\.*^$|]/\\&/g; s/..*/s|&|***|g/p'
}

# --- rotation
# The old value is kept in our record until the services are healthy: the old secrets.env, and of a credential its name
# and its value, one line each.

put_old_secret() {
    [ ! -f "$RECORD/secrets.before" ] || put "$SECRETS" 0600 <"$RECORD/secrets.before"
    [ -f "$RECORD/credential.before" ] || return 0
    {
        IFS= read -r old_name
        IFS= read -r TOKEN || :
    } <"$RECORD/credential.before"
    write_credential "$old_name"
    TOKEN=
}

drop_old_secret() {
    rm -f "$RECORD/secrets.before" "$RECORD/credential.before" || die 12 "cannot remove $RECORD/secrets.before"
}

# What an earlier run has left: an interrupted rotation is finished first; all others can resume from their record.
recover_rotation() {
    is_pending || return 0
    case $(transaction_value action) in
        rotate) recover_secret ;;
        install | rollback | uninstall | purge) ;;
        *) die 12 "$RECORD/transaction cannot be read" "Inspect it." ;;
    esac
}

recover_secret() {
    if [ "$(transaction_value phase)" = rotated ]; then # the new value is in use everywhere
        drop_old_secret
        end_transaction rotated "$(transaction_value to)"
        return 0
    fi
    say "a previous rotation was interrupted; restoring the old value"
    sed -n '/^unit /p' "$RECORD/transaction" >"$WORK/states"
    (restore_secret) || die 12 "the old secret could not be restored" "See: systemctl status; then run this again."
}

restore_secret() {
    put_old_secret
    restart_before restart_unit_again
    drop_old_secret
    drop_transaction
}

go_back_to_secret() {
    say "restoring the old value"
    if (restore_secret); then
        say "the old value is in use again"
    else
        complain error "restoring the old value failed" "See: systemctl status; then run this again."
    fi
}

# Restarts what was running before.
restart_before() { # COMMAND: to restart a unit with
    WATCHED=
    [ -z "$AT_BOOT" ] || return 0 # nothing has started yet
    while read -r _ again_unit again_enabled again_active <&7; do
        [ "$again_enabled" != static ] || continue # what a timer starts has the value the next time
        ! is_socket "$again_unit" || continue # it stays open
        case $again_active in
            active | activating | reloading)
                "$1" "$again_unit" || die 12 "$again_unit could not be restarted" "See: systemctl status"
                ;;
        esac
    done 7<"$WORK/states"
}


# --- secrets ---------------------------------------------------------------------------------------------
# Made on this machine, never in the bundle; a value never stands on a command line, where ps would show it: printf,
# read and [ are the shell's own.

TOKEN=
GIVEN= # one NAME=FILE a line
SECRETS_ADDED=

secret_value() { # NAME: what stands in secrets.env; the last line counts, as it does for systemd
    [ ! -f "$SECRETS" ] || sed -n "s/^$1=//p" "$SECRETS" | tail -n 1
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
        die 2 "the file for secret $1 cannot be read: $2" "Give a plain file that holds the value in one line."
    fi
    TOKEN=
    IFS= read -r TOKEN <"$2" || [ -n "$TOKEN" ] || die 2 "the file for secret $1 is empty: $2"
    if [ -n "$(sed 1d "$2")" ] || ! is_token "$TOKEN"; then
        die 2 "the file for secret $1 does not hold one usable line: $2" \
            "It must be 16 or more of the characters A-Z a-z 0-9 . _ ~ + / = - and nothing else."
    fi
}

make_secret() { # BYTES: sets TOKEN
    TOKEN=$(od -An -v "-N$1" -tx1 /dev/urandom | tr -d ' \n')
    [ "${#TOKEN}" -eq $(($1 * 2)) ] || die 12 "the kernel's random source gave too little"
}

write_secret() { # NAME: with the value in TOKEN, which is gone then
    {
        sed "/^$1=/d" "$SECRETS"
        printf '%s=%s\n' "$1" "$TOKEN"
    } | put "$SECRETS" 0600
    TOKEN=
}

# Empty, or shorter than what we make: cut off. What the operator gave or wrote there himself is his affair.
secret_is_torn() { # NAME VALUE BYTES
    [ -n "$2" ] || return 0
    ! owns "given $1" || return 1
    case $2 in
        *[!0-9a-f]*) return 1 ;;
    esac
    [ "${#2}" -lt $(($3 * 2)) ]
}

given_file() { # NAME: the file that the operator gave for it
    printf '%s' "$GIVEN" | sed -n "s/^$1=//p" | tail -n 1
}

add_secret() { # NAME BYTES
    secret_now=$(secret_value "$1")
    secret_is_torn "$1" "$secret_now" "$2" || return 0
    [ -z "$secret_now" ] || warn "$1 in $SECRETS was cut short; it is made anew"
    secret_file=$(given_file "$1")
    if [ -n "$secret_file" ]; then
        read_token "$1" "$secret_file"
        claim "given $1"
    else
        make_secret "$2"
    fi
    write_secret "$1"
    SECRETS_ADDED="$SECRETS_ADDED $1"
}

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
            s/[][\\.*^$|]/\\&/g
            s/.*/s|&|***|g/p
        }' "$mask_file"
    done
}

# --- rotation
# The old file is kept in our record until the gate has passed.

recover_secret() {
    if [ "$(transaction_value phase)" = rotated ]; then # the new value is in use everywhere
        drop_old_secrets
        end_transaction rotated "$(transaction_value to)"
        return 0
    fi
    say "an earlier rotation of $(transaction_value secret) did not come to its end; the old value comes back"
    sed -n '/^unit /p' "$RECORD/transaction" >"$WORK/states"
    (restore_secret) || die 12 "the old secret could not be brought back" "See: systemctl status; then run this again."
}

restore_secret() {
    if [ -f "$RECORD/secrets.before" ]; then
        put "$SECRETS" 0600 <"$RECORD/secrets.before"
    fi
    restart_before
    drop_old_secrets
    drop_transaction
}

drop_old_secrets() {
    rm -f "$RECORD/secrets.before" || die 12 "cannot remove $RECORD/secrets.before"
}

go_back_to_secret() {
    say "going back to the old value"
    if (restore_secret); then
        say "the old value is in use again"
    else
        complain error "going back to the old value did not work" "See: systemctl status; then run this again."
    fi
}

# What ran before runs anew.
restart_before() {
    WATCHED=
    [ -z "$AT_BOOT" ] || return 0 # nothing has started yet
    while read -r _ again_unit again_enabled again_active <&7; do
        [ "$again_enabled" != static ] || continue # what a timer starts has the value the next time
        case $again_active in
            active | activating | reloading)
                WATCHED="$WATCHED $again_unit"
                control reset-failed "$again_unit" >/dev/null 2>&1 || :
                control restart "$again_unit" 2>"$WORK/start" ||
                    unhealthy "$again_unit" "" "it does not start: $(head_of "$WORK/start")"
                ;;
        esac
    done 7<"$WORK/states"
}


# --- secrets ---------------------------------------------------------------------------------------------
# Made here, never in the bundle; a value never stands on a command line, where ps would show it: printf, read
# and [ are the shell's own.

SECRETS=$ETC/secrets.env
TOKEN=

secret_value() { # NAME: what stands in secrets.env; the last line counts, as it does for systemd
    [ ! -f "$SECRETS" ] || sed -n "s/^$1=//p" "$SECRETS" | tail -n 1
}

given_file() { # NAME: the file that the operator gave for it
    printf '%s' "$GIVEN" | sed -n "s/^$1=//p" | tail -n 1
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
        if [ -n "$given_now" ] && [ "$given_now" != "$TOKEN" ] && ! secret_is_torn "$given_name" "$given_now"; then
            die 2 "secret $given_name is set already and differs from $given_path; it is kept" \
                "To replace it, delete its line from $SECRETS, run this again and restart the services."
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

# Empty, or shorter than what we make: cut off. What the operator gave or wrote there himself is his affair.
secret_is_torn() { # NAME VALUE
    [ -n "$2" ] || return 0
    ! owns "given $1" || return 1
    case $2 in
        *[!0-9a-f]*) return 1 ;;
    esac
    [ "${#2}" -lt $(($(secret_bytes "$1") * 2)) ]
}

make_secret() { # BYTES: sets TOKEN
    TOKEN=$(od -An -v "-N$1" -tx1 /dev/urandom | tr -d ' \n')
    [ "${#TOKEN}" -eq $(($1 * 2)) ] || die 12 "the kernel's random source gave too little"
}

add_secret() { # NAME BYTES
    secret_now=$(secret_value "$1")
    secret_is_torn "$1" "$secret_now" || return 0
    [ -z "$secret_now" ] || warn "$1 in $SECRETS was cut short; it is made anew"
    secret_file=$(given_file "$1")
    if [ -n "$secret_file" ]; then
        read_token "$1" "$secret_file"
        claim "given $1"
    else
        make_secret "$2"
    fi
    {
        sed "/^$1=/d" "$SECRETS"
        printf '%s=%s\n' "$1" "$TOKEN"
    } | put "$SECRETS" 0600
    TOKEN=
    SECRETS_ADDED="$SECRETS_ADDED $1"
}

SECRETS_ADDED=
SECRETS_BEFORE= # none | kept: what undoing has to do

install_secrets() {
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

# Copies stdin to stdout with every secret's value replaced. The values reach sed in a file, not in its arguments.
masked() {
    (umask 077 && mask_script >"$WORK/mask") || return 1
    sed -f "$WORK/mask"
}

mask_script() {
    [ -f "$SECRETS" ] || return 0
    sed -n '/^[A-Za-z_][A-Za-z0-9_]*=./{
        s/^[^=]*=//
        s/^"\(.*\)"$/\1/
        s/[][\\.*^$|]/\\&/g
        s/.*/s|&|***|g/p
    }' "$SECRETS"
}

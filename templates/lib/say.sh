
# --- say -------------------------------------------------------------------------------------------------
# All messages go to stderr. If the reader has gone away, the install continues.

say() {
    tell_line "$NAME${RELEASE:+ $RELEASE}: $*"
}

complain() { # KIND SENTENCE [REMEDY]
    tell_line "$PROGRAM: $1: $2"
    [ $# -lt 3 ] || tell_line "  $3"
}

tell_line() { # LINE
    case $1 in
        *[!\ -~]*) printf '%s\n' "$1" | harmless >&2 || : ;;
        *) printf '%s\n' "$1" >&2 || : ;;
    esac
}

warn() { # SENTENCE [REMEDY]
    complain warning "$@"
}

die() { # STATUS SENTENCE [REMEDY]
    die_status=$1
    shift
    complain error "$@"
    exit "$die_status"
}

misuse() { # SENTENCE
    die 2 "$1" "See: $HELP"
}



# --- say -------------------------------------------------------------------------------------------------
# Everything for people goes to stderr. A reader that has gone away does not stop an install half-way.

say() {
    printf '%s: %s\n' "$NAME${RELEASE:+ $RELEASE}" "$*" >&2 || :
}

complain() { # KIND SENTENCE [REMEDY]
    printf '%s: %s: %s\n' "$PROGRAM" "$1" "$2" >&2 || :
    [ $# -lt 3 ] || printf '  %s\n' "$3" >&2 || :
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

have() { # PROGRAM
    command -v "$1" >/dev/null 2>&1
}
